// Every JavaScript snippet of README.md runs, against an origin on loopback in place of
// api.example.com, and is a strict TypeScript program.
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');
const snippets = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end('users');
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Runs a module in the package's folder, where `dodici` is the package itself. */
function run(source: string): Promise<{ code: number | null; output: string; errors: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { cwd: root });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.on('close', (code) => resolve({ code, output, errors }));
  });
}

/** What TypeScript complains about in these modules of the package's folder. */
function complaints(sources: readonly string[]): string[] {
  const files = new Map(sources.map((source, at) => [`${root}snippet-${at + 1}.mts`, source]));
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    module: ts.ModuleKind.Node16,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.getCurrentDirectory = () => root;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.getSourceFile = (file, target, ...rest) => {
    const source = files.get(file);
    return source === undefined
      ? getSourceFile(file, target, ...rest)
      : ts.createSourceFile(file, source, target);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, ' ');
    return `${file?.fileName.slice(root.length) ?? ''}: ${text}`;
  });
}

describe('README.md', () => {
  it('has snippets', () => {
    expect(snippets.length).toBeGreaterThanOrEqual(6);
  });

  it('has snippets that are strict TypeScript', () => {
    expect(complaints(snippets)).toEqual([]);
  });

  it.each(snippets.map((snippet, index) => [index + 1, snippet]))(
    'snippet %i runs and ends by itself',
    async (_number, snippet) => {
      const { port } = server.address() as AddressInfo;
      const source = snippet.replaceAll('https://api.example.com', `http://127.0.0.1:${port}`);
      const { code, output, errors } = await run(source);
      expect({ code, errors }).toEqual({ code: 0, errors: '' });
      if (snippet.includes('body.text()') || snippet.includes('response.text()')) {
        expect(output).toContain('users');
      }
    },
  );
});
