// The import rules of src/: which layer may depend on which, that each has one entry point, and that
// only one knows the peer, and one the addon's file. Part of `eslint.config.mjs`.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The folders of src/, from the top layer to the bottom. A layer imports from those after it in this
 * list, through their entry points: `../wire` is `wire/index.ts`.
 */
export const LAYERS = [
  'api',
  'fetch',
  'proxies',
  'dispatchers',
  'origin',
  'request',
  'connection',
  'body',
  'session',
  'options',
  'headers',
  'undici',
  'process',
  'native',
  'wire',
];

const PEER = 'only src/undici/ imports the peer';
const ADDON = "only src/native/ knows where the addon's file is";
const ENTRY_POINT = 'import from the entry point of the layer, its index.ts';
const OWN_ENTRY_POINT = 'inside the layer, import the file itself';

/** The package's own entry point; it may import the list of what users get from the peer directly. */
const PACKAGE = 'src';

const required = (module) =>
  [
    `CallExpression[callee.name="require"] > Literal${module}`,
    `CallExpression[callee.property.name="resolve"] > Literal${module}`,
    `ImportExpression > Literal${module}`,
  ].join(', ');

/** The rules of one layer. */
function rulesOf(layer, above) {
  const layers = LAYERS.join('|');
  const patterns =
    layer === PACKAGE
      ? [{ regex: `^\\./(${layers})/(?!exports$).`, message: ENTRY_POINT }]
      : [
          { regex: `^(\\.\\./)+(${layers})/.`, message: ENTRY_POINT },
          { regex: `^\\.$|^\\./(index)?$|^(\\.\\./)+${layer}$`, message: OWN_ENTRY_POINT },
        ];
  if (above.length > 0) {
    patterns.push({
      regex: `^(\\.\\./)+(${above.join('|')})$`,
      message: `${layer} must not depend on the layers above it`,
    });
  }
  const syntax = [];
  if (layer !== 'undici') {
    patterns.push({ regex: '^undici(/|$)', message: PEER });
    syntax.push({ selector: required('[value=/^undici(\\u002F|$)/]'), message: PEER });
  }
  if (layer !== 'native') {
    syntax.push(
      { selector: 'Literal[value=/\\.node$/]', message: ADDON },
      { selector: 'TemplateElement[value.cooked=/\\.node$/]', message: ADDON },
    );
  }
  return {
    '@typescript-eslint/no-restricted-imports': ['error', { patterns }],
    ...(syntax.length > 0 && { 'no-restricted-syntax': ['error', ...syntax] }),
  };
}

/** The rules of each layer; throws if a folder in `source` is not listed. */
export function layerConfigs(source) {
  const folders = readdirSync(source, { withFileTypes: true }).filter((e) => e.isDirectory());
  const unknown = folders.find(({ name }) => !LAYERS.includes(name));
  if (unknown)
    throw new Error(`${join(source, unknown.name)} is not a layer: add it to eslint.layers.mjs`);
  return [
    { files: ['src/*.ts'], rules: rulesOf(PACKAGE, []) },
    ...LAYERS.map((layer, index) => ({
      files: [`src/${layer}/**/*.ts`],
      rules: rulesOf(layer, LAYERS.slice(0, index)),
    })),
  ];
}
