export const phases: readonly string[];
export const seenByServer: readonly string[];
