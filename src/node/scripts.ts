import { readFileSync } from "node:fs";

const read = (file: string) => readFileSync(new URL(`./scripts/${file}`, import.meta.url), "utf8");

/** The programs that run in nodes and in the helper container. In the bundle, script/build puts their texts here. */
export const scripts = {
  /** bash: serves the commands of a node. */
  node: read("node-commands.sh") + read("serve.sh"),
  /** bash: serves the commands of the hard-link helper container. */
  hardlink: read("hardlink-commands.sh") + read("serve.sh"),
  /** perl: relays a connection to containerd. */
  dialContainerd: read("dial-containerd.pl"),
};
