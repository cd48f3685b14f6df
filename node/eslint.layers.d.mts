import type { Linter } from 'eslint';
export const LAYERS: readonly string[];
export function layerConfigs(source: string): Linter.Config[];
