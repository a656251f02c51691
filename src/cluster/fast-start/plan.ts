/** The settings of fast start for one cluster. */
export interface FastStartPlan {
  /** Descriptions of the settings, for the log and the summary. */
  readonly settings: readonly string[];
  /** A folder of this machine that nodes mount, and its files: kubeadm's patches, by file name. */
  readonly folder: string;
  readonly files: Readonly<Record<string, string>>;
  /** The kind configuration without fast start. */
  readonly configWithout: string;
  /** The CNI, which kind would create last; undefined if the configuration disables kind's default CNI. */
  readonly cni: CniPlan | undefined;
}

/** The CNI of the node image, for the action to create in place of kind. */
export interface CniPlan {
  /** The node image that contains the manifest. */
  readonly image: string;
  /** The name of the first control plane. */
  readonly controlPlane: string;
  readonly podSubnet: string;
  /** The address of the API for nodes: `HOST:PORT`. */
  readonly endpoint: string;
  /** The kind configuration with which kind does not create the CNI. */
  readonly config: string;
}
