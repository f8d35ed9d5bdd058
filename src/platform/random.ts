import { randomBytes } from 'node:crypto';

/** Randomness, injected so that a simulation is repeated exactly from its seed. */
export interface Random {
  bytes(count: number): Uint8Array;
}

export const systemRandom: Random = { bytes: count => randomBytes(count) };
