/** Formats bytes in decimal units, as Docker does: `1.4 GB`, `26.3 MB`, `0.8 kB`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e3).toFixed(1)} kB`;
}

/** Formats seconds with one decimal: `4.2 s`. */
export const formatSeconds = (seconds: number): string => `${seconds.toFixed(1)} s`;

/** Returns the seconds since a time of `performance.now()`, rounded to the millisecond. */
export const secondsSince = (startMs: number): number => Math.round(performance.now() - startMs) / 1000;

/** Formats a timeout in milliseconds for a message: `90 s`, `0.5 s`. */
export const formatTimeout = (timeoutMs: number): string => `${Math.round(timeoutMs / 100) / 10} s`;
