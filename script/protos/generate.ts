import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { erasable } from "./erasable.ts";
import { methodTable } from "./method-table.ts";
import { trim } from "./trim.ts";

/** Makes src/node/containerd/generated/ from the .proto files in the folder beside it. */

/** What is called, and so what is generated. */
const methods = [
  "containerd.services.content.v1.Content/List",
  "containerd.services.content.v1.Content/Read",
  "containerd.services.content.v1.Content/Update",
  "containerd.services.content.v1.Content/Write",
  "containerd.services.images.v1.Images/Get",
  "containerd.services.images.v1.Images/Create",
  "containerd.services.images.v1.Images/Update",
  "containerd.services.leases.v1.Leases/Create",
  "containerd.services.leases.v1.Leases/Delete",
  "runtime.v1.ImageService/ListImages",
];

const root = resolve(import.meta.dirname, "../..");
const proto = join(root, "src/node/containerd/proto");
const generated = join(root, "src/node/containerd/generated");
const work = mkdtempSync(join(tmpdir(), "update-protos-"));
try {
  // protoc 3.21, which Debian 12 and 13 have, does not know this option. It is not about what is sent.
  const cri = readFileSync(join(proto, "cri/pkg/apis/runtime/v1/api.proto"), "utf8");
  mkdirSync(join(work, "cri/runtime/v1"), { recursive: true });
  writeFileSync(join(work, "cri/runtime/v1/api.proto"), cri.replaceAll(" [debug_redact = true]", ""));

  protoc(
    `--proto_path=${join(proto, "containerd")}`,
    `--proto_path=${join(work, "cri")}`,
    "--include_imports",
    `--descriptor_set_out=${join(work, "all")}`,
    "services/content/v1/content.proto",
    "services/images/v1/images.proto",
    "services/leases/v1/leases.proto",
    "runtime/v1/api.proto",
  );
  const used = trim(fromBinary(FileDescriptorSetSchema, readFileSync(join(work, "all"))), methods);
  writeFileSync(join(work, "used"), toBinary(FileDescriptorSetSchema, used));

  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated);
  protoc(
    `--descriptor_set_in=${join(work, "used")}`,
    `--plugin=${join(root, "node_modules/@protobuf-ts/plugin/bin/protoc-gen-ts")}`,
    `--ts_out=${generated}`,
    "--ts_opt=force_optimize_code_size,force_disable_services,long_type_number",
    ...used.file.map(({ name }) => name),
  );
  for (const entry of readdirSync(generated, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    writeFileSync(file, erasable(readFileSync(file, "utf8")));
  }
  writeFileSync(join(generated, "methods.ts"), methodTable(used));
} finally {
  rmSync(work, { recursive: true });
}

function protoc(...args: string[]): void {
  execFileSync("protoc", args, { stdio: "inherit", timeout: 60_000 });
}
