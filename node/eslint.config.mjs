// Lint rules of the package: type-checked strict rules; the import rules are in eslint.layers.mjs.
import { join } from 'node:path';

import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

import { layerConfigs } from './eslint.layers.mjs';

export default tseslint.config(
  { ignores: ['dist/', 'prebuilds/', '.nodes/', 'native/', 'src/**/generated.ts'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts', '**/*.mts', '**/*.cts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['vitest.config.mts', 'eslint.layers.d.mts'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      // Numbers in messages are fine.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // An empty string is as absent as none, in options and URLs alike.
      '@typescript-eslint/prefer-nullish-coalescing': [
        'error',
        { ignorePrimitives: { string: true } },
      ],
      // undici's handlers and sockets are called as it calls them: methods, maybe absent.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      // Callers in JavaScript hand over anything; what the types exclude is checked all the same.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Handlers are objects of methods; asking whether one is there is not taking it out.
      '@typescript-eslint/unbound-method': 'off',
      // Both ways to drop `undefined` cannot be forbidden at a time; the assertion names the type.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // CommonJS output: `require` loads the addon and the peer.
      '@typescript-eslint/no-require-imports': 'off',
    },
  },
  layerConfigs(join(import.meta.dirname, 'src')),
  {
    files: ['test/**/*.ts', 'test/**/*.mts', 'test/**/*.cts'],
    rules: {
      // Tests hand over wrong values on purpose and look into what came back.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-misused-spread': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      '@typescript-eslint/class-literal-property-style': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/only-throw-error': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        require: 'readonly',
        module: 'writable',
        __dirname: 'readonly',
        __filename: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        fetch: 'readonly',
        setTimeout: 'readonly',
        setImmediate: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        queueMicrotask: 'readonly',
      },
    },
  },
);
