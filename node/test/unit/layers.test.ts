// The import rules of src/: what they reject and what they allow.
import { ESLint, type Linter } from 'eslint';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';

import { layerConfigs, LAYERS } from '../../eslint.layers.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

const lint = new ESLint({
  cwd: root,
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ['**/*.ts'],
      languageOptions: { parser: tseslint.parser },
      plugins: { '@typescript-eslint': tseslint.plugin },
    },
    ...layerConfigs(`${root}src`),
  ] as Linter.Config[],
});

async function rejected(file: string, text: string): Promise<string[]> {
  const [result] = await lint.lintText(text, { filePath: `${root}src/${file}` });
  return result!.messages.map(({ message }) => message);
}

describe('a layer', () => {
  it('imports from the layers below it and not from those above', async () => {
    for (const [index, layer] of LAYERS.entries()) {
      for (const below of LAYERS.slice(index + 1)) {
        const down = `import { x } from '../${below}';`;
        expect(await rejected(`${layer}/file.ts`, down), `${layer}: ${down}`).toEqual([]);
        const up = `export { x } from '../${layer}';`;
        const [message, ...more] = await rejected(`${below}/file.ts`, up);
        expect(message, `${below}: ${up}`).toContain(
          `${below} must not depend on the layers above it`,
        );
        expect(more).toEqual([]);
      }
    }
  });

  it('is imported through its entry point', async () => {
    for (const path of ['../wire/reader', '../wire/index', '../../wire/reader']) {
      const text = `import type { RecordSink } from '${path}';`;
      expect((await rejected('session/file.ts', text))[0], path).toContain(
        'entry point of the layer',
      );
    }
    expect(
      (await rejected('index.ts', "export { Agent } from './dispatchers/agent';"))[0],
    ).toContain('entry point of the layer');
    expect(await rejected('index.ts', "export * from './undici/exports';")).toEqual([]);
  });

  it('does not import its own entry point', async () => {
    for (const path of ['.', './index', '../session']) {
      const text = `import { Session } from '${path}';`;
      expect((await rejected('session/file.ts', text))[0], path).toContain(
        'import the file itself',
      );
    }
    expect(await rejected('session/file.ts', "import { Session } from './session';")).toEqual([]);
  });
});

describe('the peer', () => {
  it.each([
    "import { Dispatcher } from 'undici';",
    "import type { Dispatcher } from 'undici';",
    "export * from 'undici';",
    "const u = require('undici');",
    "const u = require.resolve('undici/package.json');",
    "const u = await import('undici/lib/core/util.js');",
    "import 'undici';",
  ])('is imported only in its layer: %s', async (text) => {
    expect((await rejected('dispatchers/client.ts', text))[0]).toContain('only src/undici/');
    expect(await rejected('undici/undici.ts', text)).toEqual([]);
  });

  it('may be named', async () => {
    for (const text of ["throw new Error(`install 'undici'`);", "import x from 'undici-types';"]) {
      expect(await rejected('dispatchers/client.ts', text)).toEqual([]);
    }
  });
});

describe("the addon's file", () => {
  it.each(["load('./dodici.node');", 'load(`${path}/dodici.node`);'])(
    'is named only in its layer: %s',
    async (text) => {
      expect((await rejected('dispatchers/pool.ts', text))[0]).toContain('src/native/');
      expect(await rejected('native/loader.ts', text)).toEqual([]);
    },
  );
});
