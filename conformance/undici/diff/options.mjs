// The options of undici's classes and functions, and their defaults, read from its code and declarations.
//
// What lives here: which parameters and interfaces are options, and what a default looks like. diff.mjs
// calls it. It must not know dodici.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT } from "../lib/pins.mjs";

const ts = createRequire(join(ROOT, "node", "package.json"))("typescript");

/** Where undici's code takes options apart: the owner, the file, the class or function. */
const CODE = [
  ["Client", "lib/dispatcher/client.js", "Client"],
  ["Pool", "lib/dispatcher/pool.js", "Pool"],
  ["Agent", "lib/dispatcher/agent.js", "Agent"],
  ["BalancedPool", "lib/dispatcher/balanced-pool.js", "BalancedPool"],
  ["RoundRobinPool", "lib/dispatcher/round-robin-pool.js", "RoundRobinPool"],
  ["H2CClient", "lib/dispatcher/h2c-client.js", "H2CClient"],
  ["ProxyAgent", "lib/dispatcher/proxy-agent.js", "ProxyAgent"],
  ["EnvHttpProxyAgent", "lib/dispatcher/env-http-proxy-agent.js", "EnvHttpProxyAgent"],
  ["Socks5ProxyAgent", "lib/dispatcher/socks5-proxy-agent.js", "Socks5ProxyAgent"],
  ["connect", "lib/core/connect.js", "buildConnector"],
  ["request", "lib/core/request.js", "Request"],
];

/** Where undici declares them: the owner, the file, the interface or type. */
const DECLARED = [
  ["Client", "types/client.d.ts", "Options"],
  ["h2Options", "types/client.d.ts", "H2Options"],
  ["webSocket", "types/client.d.ts", "WebSocketOptions"],
  ["eventSource", "types/client.d.ts", "EventSourceOptions"],
  ["Pool", "types/pool.d.ts", "Options"],
  ["Agent", "types/agent.d.ts", "Options"],
  ["RoundRobinPool", "types/round-robin-pool.d.ts", "Options"],
  ["H2CClient", "types/h2c-client.d.ts", "Options"],
  ["ProxyAgent", "types/proxy-agent.d.ts", "Options"],
  ["EnvHttpProxyAgent", "types/env-http-proxy-agent.d.ts", "Options"],
  ["Socks5ProxyAgent", "types/socks5-proxy-agent.d.ts", "Options"],
  ["connect", "types/connector.d.ts", "BuildOptions"],
  ["request", "types/dispatcher.d.ts", "DispatchOptions"],
  ["request", "types/dispatcher.d.ts", "RequestOptions"],
];

/**
 * @param {string} folder undici
 * @returns {{ options: Set<string>, defaults: Map<string, unknown> }} `options`: `owner.name`;
 *   `defaults`: those that are constants, by the same name
 */
export function readOptions(folder) {
  const options = new Set();
  const defaults = new Map();
  for (const [owner, file, name] of CODE) {
    const root = parse(folder, file);
    const found = root && codeOf(root, name);
    if (found === undefined) continue;
    const names = new Set(found.parameters.flatMap((one) => taken(one, defaults, owner)));
    collectReads(found, names);
    collectDefaults(found, (option, value) => {
      if (names.has(option)) defaults.set(`${owner}.${option}`, value);
    });
    for (const option of names) options.add(`${owner}.${option}`);
  }
  for (const [owner, file, name] of DECLARED) {
    const root = parse(folder, file);
    if (root === undefined) continue;
    visit(root, (node) => {
      const isIt =
        (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) &&
        node.name.text === name;
      if (!isIt) return;
      visit(node, (member) => {
        if (!ts.isPropertySignature(member) && !ts.isMethodSignature(member)) return;
        if (isOwn(member, node)) options.add(`${owner}.${member.name.text}`);
      });
    });
  }
  return { options, defaults };
}

function parse(folder, file) {
  const path = join(folder, file);
  if (!existsSync(path)) return undefined;
  return ts.createSourceFile(file, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
}

function visit(node, call) {
  call(node);
  ts.forEachChild(node, (child) => visit(child, call));
}

/** Whether a member is one of the declared type itself, not of the type of another member. */
function isOwn(member, declaration) {
  for (let at = member.parent; at !== declaration; at = at.parent) {
    if (ts.isPropertySignature(at) || ts.isMethodSignature(at)) return false;
  }
  return true;
}

/** The function, or the constructor of the class. */
function codeOf(root, name) {
  let found;
  visit(root, (node) => {
    if (node.name?.text !== name) return;
    if (ts.isFunctionDeclaration(node)) found = node;
    if (ts.isClassDeclaration(node)) found = node.members.find(ts.isConstructorDeclaration);
  });
  return found;
}

/** The names that a parameter takes apart. */
function taken({ name }, defaults, owner) {
  if (!ts.isObjectBindingPattern(name)) return [];
  return name.elements
    .filter(({ dotDotDotToken }) => dotDotDotToken === undefined)
    .map((element) => {
      const option = (element.propertyName ?? element.name).text;
      const value = element.initializer && constant(element.initializer);
      if (value !== undefined) defaults.set(`${owner}.${option}`, value);
      return option;
    });
}

/** Names of the last parameter that the code reads: `opts.name`, `const { name } = opts`. */
function collectReads({ parameters, body }, names) {
  const last = parameters.at(-1)?.name;
  if (last === undefined || !ts.isIdentifier(last)) return;
  const isOptions = (node) => node && ts.isIdentifier(node) && node.text === last.text;
  visit(body, (node) => {
    if (ts.isPropertyAccessExpression(node) && isOptions(node.expression)) names.add(node.name.text);
    if (ts.isVariableDeclaration(node) && isOptions(node.initializer)) {
      for (const option of taken(node, new Map(), "")) names.add(option);
    }
  });
}

/** `name ?? 1`, `name == null ? 1 : name` and the like. */
function collectDefaults({ body }, found) {
  visit(body, (node) => {
    if (ts.isBinaryExpression(node)) {
      const { kind } = node.operatorToken;
      if (kind !== ts.SyntaxKind.QuestionQuestionToken) return;
      const value = constant(node.right);
      const name = nameOf(node.left);
      if (value !== undefined && name !== undefined) found(name, value);
    } else if (ts.isConditionalExpression(node)) {
      const branches = [node.whenTrue, node.whenFalse];
      const value = branches.map(constant).find((one) => one !== undefined);
      const name = branches.map(nameOf).find((one) => one !== undefined);
      if (value !== undefined && name !== undefined) found(name, value);
    }
  });
}

/** The variable or property, the last one of `a ?? b`. */
function nameOf(node) {
  if (ts.isIdentifier(node)) return constant(node) === undefined ? node.text : undefined;
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  return ts.isBinaryExpression(node) ? nameOf(node.right) : undefined;
}

/** The value of a constant expression; `undefined` if it is none. */
function constant(node) {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isStringLiteral(node)) return node.text;
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  if (ts.isIdentifier(node)) return node.text === "Infinity" ? Infinity : namedConstant(node);
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken) {
    const value = constant(node.operand);
    return value === undefined ? undefined : -value;
  }
  return undefined;
}

/** The value of a `const` at the top of the file. */
function namedConstant({ text, parent }) {
  const declarations = parent
    .getSourceFile()
    .statements.filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => declarationList.declarations);
  const found = declarations.find(({ name }) => ts.isIdentifier(name) && name.text === text);
  return found?.initializer && constant(found.initializer);
}
