// dockerode asks for a Client only when it is given an ssh:// endpoint; the docker CLI reaches those, this bundle does not.
class Client {
  constructor() {
    throw new Error("ssh:// Docker endpoints are not supported");
  }
}
module.exports = { Client };
