import type { ActionMetadata } from "./action-metadata.ts";
import type { Scope } from "./expressions/evaluate.ts";
import { interpolate } from "./expressions/template.ts";

/** The inputs of one step: the environment that carries them, and what the runner warns about. */
export interface StepInputs {
  readonly env: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/**
 * Merges the values of `with:` and the declared defaults.
 *
 * Defaults are expressions, evaluated each time a step starts: post sees the `job.status` of then. Given values were
 * evaluated when the workflow was read and pass as they are. A required input that is missing is nobody's business
 * here: the runner leaves that to the action.
 */
export function stepInputs(
  declared: ActionMetadata["inputs"],
  given: Readonly<Record<string, string>>,
  scope: Scope,
): StepInputs {
  const values = new Map<string, string>();
  const warnings: string[] = [];
  const deprecated = new Map<string, string>();
  for (const [name, declaration] of Object.entries(declared)) {
    if (declaration.deprecationMessage !== undefined) {
      deprecated.set(folded(name), declaration.deprecationMessage);
    }
  }

  for (const [name, value] of Object.entries(given)) {
    values.set(folded(name), value);
    const message = deprecated.get(folded(name));
    if (message !== undefined) {
      warnings.push(`Input '${name}' has been deprecated with message: ${message}`);
    }
  }
  for (const [name, declaration] of Object.entries(declared)) {
    if (!values.has(folded(name))) values.set(folded(name), interpolate(declaration.default, scope));
  }

  const valid = Object.keys(declared);
  const unexpected = Object.keys(given).filter(
    (name) => !valid.some((other) => folded(other) === folded(name)),
  );
  if (unexpected.length > 0) {
    warnings.push(
      `Unexpected input(s) '${unexpected.join("', '")}', valid inputs are ['${valid.join("', '")}']`,
    );
  }

  const env = Object.fromEntries(
    [...values].map(([name, value]) => [`INPUT_${name.replaceAll(" ", "_")}`, value]),
  );
  return { env, warnings };
}

/** Input names have no case; their variables are upper case. */
function folded(name: string): string {
  return name.toUpperCase();
}
