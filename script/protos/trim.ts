import { create } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorSet,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The part of a set of files that some methods need: their services without other methods, the messages and enums that
 * can be in a request or a response, and the files that have any of these. Nested types stay with their message.
 *
 * @param set with all that its files import
 * @param methods `package.Service/Method`
 * @throws when there is no such method
 */
export function trim(set: FileDescriptorSet, methods: readonly string[]): FileDescriptorSet {
  const missing = new Set(methods);
  const types = typesOf(set);
  const used = new Set<string>();
  const follow = (name: string): void => {
    const type = types.get(name);
    if (type === undefined) follow(name.slice(0, name.lastIndexOf(".")));
    else if (!used.has(name)) {
      used.add(name);
      for (const each of references(type)) follow(each);
    }
  };

  const withServices = set.file.map((file) => {
    const service = file.service.map((each) => ({
      ...each,
      method: each.method.filter(({ name }) => missing.delete(`${file.package}.${each.name}/${name}`)),
    }));
    return { ...file, service: service.filter(({ method }) => method.length > 0) };
  });
  if (missing.size > 0) throw new Error(`no such method: ${[...missing].join(", ")}`);
  for (const { inputType, outputType } of withServices.flatMap(({ service }) =>
    service.flatMap(({ method }) => method),
  ))
    for (const name of [inputType, outputType]) follow(name);

  const files = withServices
    .map((file) => {
      const isUsed = ({ name }: { name: string }) => used.has(`.${file.package}.${name}`);
      return {
        ...file,
        messageType: file.messageType.filter(isUsed),
        enumType: file.enumType.filter(isUsed),
      };
    })
    .filter(({ messageType, enumType }) => messageType.length + enumType.length > 0);
  const names = new Set(files.map(({ name }) => name));
  return create(FileDescriptorSetSchema, {
    file: files.map((file) => ({ ...file, dependency: file.dependency.filter((name) => names.has(name)) })),
  });
}

/** The messages and enums that are not nested, by their full names with a dot before them, as fields refer to them. */
function typesOf(set: FileDescriptorSet): Map<string, DescriptorProto | EnumDescriptorProto> {
  return new Map(
    set.file.flatMap((file) =>
      [...file.messageType, ...file.enumType].map((type) => [`.${file.package}.${type.name}`, type]),
    ),
  );
}

/** The types of a message's fields, and of the fields of what is nested in it. */
function references(type: DescriptorProto | EnumDescriptorProto): string[] {
  if (type.$typeName === "google.protobuf.EnumDescriptorProto") return [];
  const names = type.field.map(({ typeName }) => typeName).filter((name) => name !== "");
  return [...names, ...type.nestedType.flatMap(references)];
}
