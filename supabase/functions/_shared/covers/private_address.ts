/** Addresses that are not of the public internet: the platform's own, a private network's, the machine's. */
import { BlockList, isIP } from "node:net";

/** Special-purpose ranges (IANA's registries for IPv4 and IPv6). Those that carry an IPv4 address in an IPv6 one are out with it. */
const PRIVATE: [network: string, prefix: number][] = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8], // private
  ["100.64.0.0", 10], // shared, of carriers
  ["127.0.0.0", 8], // loopback
  ["169.254.0.0", 16], // link-local, where clouds answer with credentials
  ["172.16.0.0", 12], // private
  ["192.0.0.0", 24], // protocol assignments
  ["192.0.2.0", 24], // documentation
  ["192.168.0.0", 16], // private
  ["198.18.0.0", 15], // benchmarks
  ["198.51.100.0", 24], // documentation
  ["203.0.113.0", 24], // documentation
  ["224.0.0.0", 3], // multicast, reserved, broadcast
  ["::", 96], // unspecified, loopback, IPv4-compatible
  ["64:ff9b::", 96], // IPv4 behind NAT64
  ["64:ff9b:1::", 48],
  ["100::", 64], // discard
  ["2001::", 23], // protocol assignments, Teredo among them
  ["2001:db8::", 32], // documentation
  ["2002::", 16], // IPv4 by 6to4
  ["fc00::", 7], // private
  ["fe80::", 10], // link-local
  ["fec0::", 10], // site-local
  ["ff00::", 8], // multicast
];

const blocked = new BlockList();
for (const [network, prefix] of PRIVATE) {
  blocked.addSubnet(network, prefix, network.includes(":") ? "ipv6" : "ipv4");
}

/** True for everything that is not an address of the public internet. IPv4 within IPv6 (`::ffff:10.0.0.1`) counts as IPv4. */
export function isPrivateAddress(address: string): boolean {
  const version = isIP(address);
  return version === 0 ||
    blocked.check(address, version === 6 ? "ipv6" : "ipv4");
}

/** Finds the addresses of a host name; none when that cannot be told here. */
export type Resolve = (host: string) => Promise<string[]>;

/** How long a name may take. */
const RESOLVE_MS = 2_000;

/** The platform's resolver. Where it may not be used, or fails, nothing is known: the list of hosts stays the guard. */
export async function resolveHost(host: string): Promise<string[]> {
  const signal = AbortSignal.timeout(RESOLVE_MS);
  const found = await Promise.allSettled(
    (["A", "AAAA"] as const).map(async (type) =>
      await Deno.resolveDns(host, type, { signal })
    ),
  );
  return found.flatMap((result) =>
    result.status === "fulfilled" ? result.value : []
  );
}
