import { describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import type { CommandResult, RunOptions } from '../../platform/process.ts';
import { RootTools } from './tools.ts';

function toolsWith(result: Partial<CommandResult> = {}) {
  const ran: [argv: readonly string[], options: RunOptions][] = [];
  const tools = new RootTools(systemClock, {
    run: (argv, options) => {
      ran.push([argv, options]);
      return Promise.resolve({ code: 0, signal: null, stdout: 'said', stderr: '', ...result });
    },
  });
  return { tools, ran };
}

describe('the programs that the helper runs', () => {
  it('get many commands at once, and are not run for none', async () => {
    const { tools, ran } = toolsWith();
    for (const lines of [[], ['one', 'two']]) {
      await tools.ipBatch(lines);
      await tools.bridgeBatch(lines);
      await tools.ipBatchAnyway(lines);
    }
    await tools.nft('three');
    const input = 'one\ntwo\n';
    expect(ran).toEqual([
      [['ip', '-batch', '-'], { deadlineMs: 10_000, input }],
      [['bridge', '-batch', '-'], { deadlineMs: 10_000, input }],
      [['ip', '-force', '-batch', '-'], { deadlineMs: 10_000, input }],
      [['nft', '-f', '-'], { deadlineMs: 10_000, input: 'three' }],
    ]);
    expect(await tools.run(['ip'])).toMatchObject({ stdout: 'said' });
  });

  it('have failed with their own words, or with their exit code, except where what is left is looked at', async () => {
    const argv: [string, ...string[]] = ['ip', 'a', 'b', 'c', 'd', 'e', 'f'];
    const failed = toolsWith({ code: 2, stderr: '\n no such  \n\n thing\n' }).tools;
    await expect(failed.run(argv)).rejects.toMatchObject({
      code: 'node_tool_failed',
      message: 'ip a b c d e: no such; thing',
    });
    for (const work of [failed.ipBatch(['x']), failed.bridgeBatch(['x']), failed.nft('x')])
      await expect(work).rejects.toMatchObject({ code: 'node_tool_failed' });
    await failed.ipBatchAnyway(['x']);
    await expect(toolsWith({ code: 2 }).tools.run(['ip'])).rejects.toThrow('ip: exit 2');
    await expect(toolsWith({ code: null, stderr: 'x'.repeat(9_000) }).tools.run(['ip'])).rejects.toThrow(
      /^ip: x{500}$/,
    );
  });

  it('leave out settings of a protocol that the kernel is without', () => {
    toolsWith().tools.set([['none/conf/eth0/forwarding', '0']]);
  });
});
