/** The folders below src/, the highest first. */
export const layers: readonly (readonly string[])[];
