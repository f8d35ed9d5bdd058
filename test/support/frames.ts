/** Ethernet frames in hexadecimal digits, as an enemy would make them (`frames.pl` sends them). */

/** What a frame is between: MACs as `02:00:…`, IPv4 addresses. */
export interface Ends {
  readonly fromMac: string;
  readonly toMac: string;
  readonly from: string;
  readonly to: string;
}

/** The address of no host: frames to it reach every host on the link. */
export const broadcastMac = 'ff:ff:ff:ff:ff:ff';

/**
 * The group addresses that bridges do not forward but hand to their own host (IEEE 802.1D 7.12.6).
 */
export const linkLocalGroups = Array.from(
  { length: 16 },
  (_, last) => `01:80:c2:00:00:0${last.toString(16)}`,
);

/** A UDP datagram in an IPv4 packet. `content`: text, or bytes. */
export function udpFrame(
  { fromMac, toMac, from, to }: Ends,
  port: number,
  content: string | Uint8Array,
): string {
  const body = Buffer.from(content);
  const udp = Buffer.concat([words(4_000, port, 8 + body.length, 0), body]);
  const head = Buffer.concat([
    Buffer.from([0x45, 0]),
    words(20 + udp.length, 1, 0, 0x40_11, 0),
    ipv4(from),
    ipv4(to),
  ]);
  head.writeUInt16BE(checksum(head), 10);
  return frame({ fromMac, toMac }, 0x08_00, Buffer.concat([head, udp]));
}

/** ARP: a question for `to`, or, as an answer, the claim that `from` is at `fromMac`. */
export function arpFrame({ fromMac, toMac, from, to }: Ends, kind: 'request' | 'reply'): string {
  const asked = kind === 'request' ? '00:00:00:00:00:00' : toMac;
  const body = [
    words(1, 0x08_00, 0x06_04, kind === 'request' ? 1 : 2),
    mac(fromMac),
    ipv4(from),
    mac(asked),
    ipv4(to),
  ];
  return frame({ fromMac, toMac }, 0x08_06, Buffer.concat(body));
}

/**
 * An IPv6 router advertisement (RFC 4861 4.2) from fe80::66: the sender wants to be the default
 * router.
 */
export function routerAdvertisement(fromMac: string, toMac: string): string {
  const source = Buffer.from('fe800000000000000000000000000066', 'hex');
  const allNodes = Buffer.from('ff020000000000000000000000000001', 'hex');
  const body = Buffer.concat([words(0x86_00, 0, 0x40_00, 1_800), Buffer.alloc(8)]);
  const pseudo = Buffer.concat([source, allNodes, words(0, body.length, 0, 58), body]);
  body.writeUInt16BE(checksum(pseudo), 2);
  const head = Buffer.concat([words(0x60_00, 0, body.length), Buffer.from([58, 255]), source, allNodes]);
  return frame({ fromMac, toMac }, 0x86_dd, Buffer.concat([head, body]));
}

/** What a VXLAN's datagram carries (RFC 7348): a frame, in the network with this number. */
export function vxlanPayload(vni: number, hex: string): string {
  return `08000000${vni.toString(16).padStart(6, '0')}00${hex}`;
}

/** The same frame with a VLAN tag in front of its type (IEEE 802.1Q). */
export function tagged(hex: string, vlan: number): string {
  return `${hex.slice(0, 24)}8100${vlan.toString(16).padStart(4, '0')}${hex.slice(24)}`;
}

function frame(
  { fromMac, toMac }: Pick<Ends, 'fromMac' | 'toMac'>,
  etherType: number,
  payload: Buffer,
): string {
  const padding = Buffer.alloc(Math.max(0, 46 - payload.length));
  return Buffer.concat([mac(toMac), mac(fromMac), words(etherType), payload, padding]).toString('hex');
}

function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function ipv4(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

function words(...values: readonly number[]): Buffer {
  return Buffer.from(values.flatMap(value => [value >> 8, value & 0xff]));
}

/** The Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xff_ff) sum = (sum & 0xff_ff) + (sum >> 16);
  return ~sum & 0xff_ff;
}
