import { measureColdStarts } from "../../bench/cold-starts.ts";

/** The benchmark `cold-start` with several control planes, where leaders are elected and etcd has members. */
await measureColdStarts("cold-start-high-availability", [
  {
    name: "3 control planes, 1 worker",
    image: "current",
    roles: ["control-plane", "control-plane", "control-plane", "worker"],
    bar: 0.85,
  },
]);
