import { join } from "node:path";
import { cacheFolder } from "../lab.ts";
import { imagesInFolder } from "./image-folder.ts";
import type { Images } from "./images.ts";
import type { LayerRecipe } from "./layers.ts";
import type { ImageRecipe } from "./make-images.ts";
import { testImageShell } from "./shell.ts";

/** To be raised by whoever changes a byte of what is made. */
const version = 1;

/**
 * What a cluster with some add-ons pulls: 12 images with the names, the sizes and the shared layers of real ones, 1.0 GB
 * compressed. They are made once on a machine, in less than a minute.
 */
export const addOns = (env: NodeJS.ProcessEnv = process.env): Promise<Images> =>
  imagesInFolder(join(cacheFolder(env), "lab", `add-ons-${version}`), addOnRecipes, {
    seed: `add-ons-${version}`,
    shell: testImageShell,
  });

const kB = 1_000;
const MB = 1_000 * kB;

const layer = (name: string, bytes: number, files = 1): LayerRecipe => ({ name, bytes, files });
const base = (name: string, bytes: number, files: number): LayerRecipe => ({
  ...layer(`base/${name}`, bytes, files),
  shell: true,
});

const alpine = [base("alpine", 2.5 * MB, 80), layer("base/alpine/certificates", 240 * kB, 1)];
const ubuntu = [base("ubuntu", 29 * MB, 1_500)];
const distroless = [
  base("distroless", 800 * kB, 40),
  layer("base/distroless/tzdata", 320 * kB, 300),
  layer("base/distroless/etc", 1 * kB, 3),
  layer("base/distroless/certificates", 130 * kB),
];

const ciliumEnvoy = layer("cilium/envoy", 57 * MB, 2);
const certManager = [...distroless, layer("jetstack/licenses", 60 * kB, 20)];

export const addOnRecipes: readonly ImageRecipe[] = [
  {
    name: "ingress-nginx/controller:v1.12.1",
    format: "oci",
    platforms: 2,
    layers: [
      ...alpine,
      layer("ingress-nginx/nginx", 54 * MB, 400),
      layer("ingress-nginx/modules", 34 * MB, 150),
      layer("ingress-nginx/controller", 30 * MB, 3),
      layer("ingress-nginx/etc", 14 * kB, 40),
    ],
  },
  {
    name: "ingress-nginx/kube-webhook-certgen:v1.5.2",
    format: "oci",
    platforms: 2,
    layers: [...alpine, layer("ingress-nginx/kube-webhook-certgen", 25 * MB)],
  },
  {
    name: "metallb/controller:v0.15.2",
    format: "docker",
    platforms: 2,
    layers: [...distroless, layer("metallb/controller", 25 * MB)],
  },
  {
    name: "metallb/speaker:v0.15.2",
    format: "docker",
    platforms: 2,
    layers: [...distroless, layer("metallb/frr-tools", 15 * MB, 6), layer("metallb/speaker", 38 * MB)],
  },
  {
    name: "cilium/cilium:v1.18.1",
    format: "oci",
    platforms: 2,
    layers: [
      ...ubuntu,
      layer("cilium/runtime", 56 * MB, 900),
      layer("cilium/llvm", 60 * MB, 12),
      ciliumEnvoy,
      layer("cilium/agent", 60 * MB, 4),
      layer("cilium/bpf", 32 * MB, 500),
      layer("cilium/hubble", 26 * MB),
    ],
  },
  {
    name: "cilium/cilium-envoy:v1.34.4",
    format: "oci",
    platforms: 1,
    layers: [...ubuntu, ciliumEnvoy],
  },
  {
    name: "cilium/operator-generic:v1.18.1",
    format: "oci",
    platforms: 2,
    layers: [...ubuntu, layer("cilium/operator", 44 * MB, 2), layer("cilium/gops", 3 * MB)],
  },
  {
    name: "jetstack/cert-manager-controller:v1.18.2",
    format: "oci",
    layers: [...certManager, layer("jetstack/cert-manager-controller", 21 * MB)],
  },
  {
    name: "jetstack/cert-manager-webhook:v1.18.2",
    format: "oci",
    layers: [...certManager, layer("jetstack/cert-manager-webhook", 18 * MB)],
  },
  {
    name: "jetstack/cert-manager-cainjector:v1.18.2",
    format: "oci",
    layers: [...certManager, layer("jetstack/cert-manager-cainjector", 16 * MB)],
  },
  {
    name: "prometheus/prometheus:v3.5.0",
    format: "docker",
    layers: [
      ...alpine,
      layer("prometheus/prometheus", 60 * MB),
      layer("prometheus/promtool", 58 * MB),
      layer("prometheus/consoles", 9 * kB, 12),
      layer("prometheus/etc", 1 * kB),
    ],
  },
  {
    name: "grafana/grafana:12.1.0",
    format: "docker",
    platforms: 1,
    layers: [
      ...alpine,
      layer("grafana/packages", 48 * MB, 300),
      layer("grafana/server", 60 * MB, 3),
      layer("grafana/public", 56 * MB, 2_500),
      layer("grafana/plugins", 56 * MB, 700),
      layer("grafana/etc", 7 * kB, 20),
    ],
  },
];
