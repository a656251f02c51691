import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cacheFolder, type Lab, readDemoLab, readLab } from "./lab.ts";

const lab: Lab = {
  kind: { version: "v0.33.0", path: "/cache/bin/kind", sha256: "aa" },
  kubectl: { version: "v1.34.4", path: "/cache/bin/kubectl", sha256: "bb" },
  nodeImages: {
    current: { image: "kindest/node:v1.34.4", kubernetes: "v1.34.4" },
    old: { image: "kindest/node:v1.33.13", kubernetes: "v1.33.13" },
  },
  loadBalancer: "docker.io/envoyproxy/envoy:v1.36.2",
  registry: "registry:3",
  testImage: "kind-action-lab/busybox:1",
  built: true,
};

describe("the lab's description", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lab-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("is read from the cache folder", () => {
    writeFileSync(join(folder, "lab.json"), JSON.stringify(lab));
    expect(readLab({ KIND_ACTION_CACHE: folder })).toEqual(lab);
  });

  it("says what to run when there is none", () => {
    expect(() => readLab({ KIND_ACTION_CACHE: folder })).toThrow(/lab\.json .*run script\/bootstrap/);
  });

  it("says what to run, and what is wrong, when it is another version's", () => {
    const { registry, ...rest } = lab;
    writeFileSync(join(folder, "lab.json"), JSON.stringify(rest));
    expect(() => readLab({ KIND_ACTION_CACHE: folder })).toThrow(/run script\/bootstrap.*registry/s);
  });

  it("is read for the demo when nothing else is set up", () => {
    const { registry, loadBalancer, ...rest } = { ...lab, nodeImages: { current: lab.nodeImages.current } };
    writeFileSync(join(folder, "lab.json"), JSON.stringify(rest));
    expect(readDemoLab({ KIND_ACTION_CACHE: folder })).toEqual(rest);
    expect(() => readLab({ KIND_ACTION_CACHE: folder })).toThrow(/run script\/bootstrap.*old/s);
  });

  it("is where script/env puts it", () => {
    expect(cacheFolder({ XDG_CACHE_HOME: "/x" })).toBe("/x/kind-action");
    expect(cacheFolder({ KIND_ACTION_CACHE: "/k", XDG_CACHE_HOME: "/x" })).toBe("/k");
  });
});
