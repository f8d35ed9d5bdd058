import { adaptationContract } from './adaptation.contract.ts';
import { noAdaptation } from './none.ts';

adaptationContract('none', {
  make: () =>
    Promise.resolve({
      of: () => noAdaptation(),
      snapshot: () => Promise.resolve(''),
      reservedFor: () => Promise.resolve([]),
      remove: () => Promise.resolve(),
    }),
  memoryMiB: 64,
  cpus: 1,
  takes: false,
});
