import { LongType, MessageType, type PartialFieldInfo, RepeatType, ScalarType } from "@protobuf-ts/runtime";
import type { Method } from "./grpc.ts";

// What is used of containerd's API, whose messages have been the same since containerd 1.0
// (https://github.com/containerd/containerd/tree/main/api/services, the files named below), and of Kubernetes' own
// (https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto), which containerd serves, too.

const scalar =
  (T: ScalarType, more?: { repeat: RepeatType.UNPACKED } | { L: LongType }) =>
  (no: number, name: string): PartialFieldInfo => ({ no, name, kind: "scalar", T, ...more });
const text = scalar(ScalarType.STRING);
const texts = scalar(ScalarType.STRING, { repeat: RepeatType.UNPACKED });
const flag = scalar(ScalarType.BOOL);
const bytes = scalar(ScalarType.BYTES);
const integer = scalar(ScalarType.INT64, { L: LongType.NUMBER });
const choice = scalar(ScalarType.INT32);
const labels = (no: number): PartialFieldInfo => ({
  no,
  name: "labels",
  kind: "map",
  K: ScalarType.STRING,
  V: { kind: "scalar", T: ScalarType.STRING },
});
const message = <T extends object>(no: number, name: string, type: MessageType<T>): PartialFieldInfo => ({
  no,
  name,
  kind: "message",
  T: () => type,
});
const messages = <T extends object>(no: number, name: string, type: MessageType<T>): PartialFieldInfo => ({
  no,
  name,
  kind: "message",
  T: () => type,
  repeat: RepeatType.UNPACKED,
});

const Empty = new MessageType<object>("google.protobuf.Empty", []);
const FieldMask = new MessageType<{ paths: string[] }>("google.protobuf.FieldMask", [texts(1, "paths")]);
const Timestamp = new MessageType<{ seconds: number }>("google.protobuf.Timestamp", [integer(1, "seconds")]);

// types/descriptor.proto

export interface Target {
  mediaType: string;
  digest: string;
  size: number;
}
const Descriptor = new MessageType<Target>("containerd.types.Descriptor", [
  text(1, "media_type"),
  text(2, "digest"),
  integer(3, "size"),
]);

// services/content/v1/content.proto

export interface Info {
  digest: string;
  createdAt?: { seconds: number };
  labels: Record<string, string>;
}
const Info = new MessageType<Info>("containerd.services.content.v1.Info", [
  text(1, "digest"),
  message(3, "created_at", Timestamp),
  labels(5),
]);
const content = "containerd.services.content.v1";

export const listContent: Method<object, { info: Info[] }> = {
  path: `${content}.Content/List`,
  request: Empty,
  response: new MessageType(`${content}.ListContentResponse`, [messages(1, "info", Info)]),
};

export const updateContent: Method<{ info: Info; updateMask: { paths: string[] } }, object> = {
  path: `${content}.Content/Update`,
  request: new MessageType(`${content}.UpdateRequest`, [
    message(1, "info", Info),
    message(2, "update_mask", FieldMask),
  ]),
  response: Empty,
};

export const readContent: Method<{ digest: string; offset: number; size: number }, object> = {
  path: `${content}.Content/Read`,
  request: new MessageType(`${content}.ReadContentRequest`, [
    text(1, "digest"),
    integer(2, "offset"),
    integer(3, "size"),
  ]),
  response: Empty,
};

/** What a write is to do: append its bytes, or that and make a blob of what was written. */
export const writeAction = { write: 1, commit: 2 } as const;

export interface Write {
  action: number;
  /** Names what is written, until it is committed. */
  ref: string;
  /** The blob's size. */
  total: number;
  /** The blob's digest. */
  expected: string;
  /** Where the bytes go: how many were written before. */
  offset: number;
  data: Uint8Array;
  labels: Record<string, string>;
}

export const writeContent: Method<Write, object> = {
  path: `${content}.Content/Write`,
  request: new MessageType(`${content}.WriteContentRequest`, [
    choice(1, "action"),
    text(2, "ref"),
    integer(3, "total"),
    text(4, "expected"),
    integer(5, "offset"),
    bytes(6, "data"),
    labels(7),
  ]),
  response: Empty,
};

// services/images/v1/images.proto

export interface Image {
  name: string;
  target?: Target;
}
const Image = new MessageType<Image>("containerd.services.images.v1.Image", [
  text(1, "name"),
  message(3, "target", Descriptor),
]);
const images = "containerd.services.images.v1";

export const getImage: Method<{ name: string }, { image?: Image }> = {
  path: `${images}.Images/Get`,
  request: new MessageType(`${images}.GetImageRequest`, [text(1, "name")]),
  response: new MessageType(`${images}.GetImageResponse`, [message(1, "image", Image)]),
};

export const createImage: Method<{ image: Image }, object> = {
  path: `${images}.Images/Create`,
  request: new MessageType(`${images}.CreateImageRequest`, [message(1, "image", Image)]),
  response: Empty,
};

export const updateImage: Method<{ image: Image; updateMask: { paths: string[] } }, object> = {
  path: `${images}.Images/Update`,
  request: new MessageType(`${images}.UpdateImageRequest`, [
    message(1, "image", Image),
    message(2, "update_mask", FieldMask),
  ]),
  response: Empty,
};

// services/leases/v1/leases.proto

const leases = "containerd.services.leases.v1";

export const createLease: Method<{ id: string; labels: Record<string, string> }, object> = {
  path: `${leases}.Leases/Create`,
  request: new MessageType(`${leases}.CreateRequest`, [text(1, "id"), labels(3)]),
  response: Empty,
};

export const deleteLease: Method<{ id: string; sync: boolean }, object> = {
  path: `${leases}.Leases/Delete`,
  request: new MessageType(`${leases}.DeleteRequest`, [text(1, "id"), flag(2, "sync")]),
  response: Empty,
};

// Kubernetes' api.proto

export interface ListedImage {
  id: string;
  repoTags: string[];
  repoDigests: string[];
}
const ListedImage = new MessageType<ListedImage>("runtime.v1.Image", [
  text(1, "id"),
  texts(2, "repo_tags"),
  texts(3, "repo_digests"),
]);

export const listImages: Method<object, { images: ListedImage[] }> = {
  path: "runtime.v1.ImageService/ListImages",
  request: Empty,
  response: new MessageType("runtime.v1.ListImagesResponse", [messages(1, "images", ListedImage)]),
};
