import { keepProof, machine } from "../../bench/report.ts";
import { checkMutatedArchives } from "../archive/mutations.ts";

/** script/prove archives: ten times the mutated archives that script/test reads, under a seed of its own. */
const runs = 2_000;
const seed = Number(process.argv[2] ?? Date.now() % 1_000_000);
const began = performance.now();
console.log(`${runs} mutated archives, seed ${seed}`);
const { read, refused, reasons } = await checkMutatedArchives(runs, seed);
const verdict = `${read} were read rightly, ${refused} refused by name, for ${reasons} different reasons. No hang, no crash, no other error.`;
console.log(verdict);
keepProof(
  "archives",
  `# prove archives

\`script/prove archives ${seed}\`: archives of every layout, damaged at random (bytes flipped, cut, spliced, headers and JSON
changed, compressed and damaged again), each read within 5 s. ${machine()}

${verdict} It took ${((performance.now() - began) / 1000).toFixed(0)} s.
`,
);
