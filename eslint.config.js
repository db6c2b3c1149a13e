import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  {ignores: ['node_modules/**', '.lab/**', '.provision/**', 'src/runtime/cri/gen/**']},
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: {parserOptions: {projectService: true, tsconfigRootDir: import.meta.dirname}},
    rules: {
      'max-lines': ['error', {max: 400}],
      'max-lines-per-function': ['error', {max: 70}],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true}],
      '@typescript-eslint/no-unused-vars': [
        'error',
        {argsIgnorePattern: '^_', ignoreRestSiblings: true},
      ],
      '@typescript-eslint/only-throw-error': 'error',
      // An AbortSignal's reason is typed `any`; it is an Error by our own convention.
      '@typescript-eslint/prefer-promise-reject-errors': ['error', {allowThrowingAny: true}],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {'max-lines-per-function': 'off', '@typescript-eslint/no-floating-promises': 'off'},
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: ['node:http', 'node:https'].map(name => ({
            name,
            allowTypeImports: true,
            message: 'It loads undici; take #shared/node-http.',
          })),
        },
      ],
    },
  },
  {files: ['*.js', '*.mjs', '.*.mjs'], languageOptions: {globals: {process: 'readonly'}}},
);
