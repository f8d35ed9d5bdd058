import { expect, it } from 'vitest';
import { LeaseBench } from '../../../test/support/lease.ts';
import { workspaceView } from './views.ts';

it('a workspace shows that a node of its slot is drained, while it is there', () => {
  const bench = new LeaseBench().running(2);
  const reason = (): unknown => workspaceView(bench.state, bench.workspace).reason;
  expect(reason()).toBeNull();
  bench.observed({ draining: [{ node: 'n1', reason: 'kernel update' }] });
  const message = 'node n1: an administrator drains it: kernel update';
  expect(reason()).toEqual({ code: 'node_drained', message });
  bench.destroy();
  expect(reason()).toMatchObject({ code: 'destroyed' });
});
