import { json } from 'node:stream/consumers';

/** What a hostile is told on its standard input, as JSON: a secret is in it. */
export interface HostileData {
  readonly url: string;
  readonly slotId: string;
  readonly vmId: string;
  readonly secret: string;
  /** Of the simulated node. */
  readonly directory: string;
  /** How many event streams to open, and who asks. */
  readonly wanted: number;
  readonly authorization: string;
}

export async function hostileData(): Promise<HostileData> {
  return (await json(process.stdin)) as HostileData;
}
