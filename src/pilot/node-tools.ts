import type { AgentErrand } from '../protocol/agent.ts';
import { runErrand } from './agent/install.ts';
import { misused, runProgram, takeGlobal } from './program.ts';

/**
 * The program that is installed on nodes, or brought by an administrator: one of `agent`, `helper`,
 * `kill-all`, `doctor --node`; or an errand of `wsp nodes add`, which came on standard input over ssh.
 * Pilots are another program (`main.ts`), because that one travels with every job.
 */
async function main(): Promise<number> {
  const errand = takeGlobal('wspAgentErrand');
  if (errand !== undefined) return runErrand(errand as AgentErrand);
  const [command, ...args] = process.argv.slice(2);
  switch (command) {
    case 'agent':
      return (await import('./agent/main.ts')).runAgent(args);
    case 'helper':
      return (await import('../control/helper/main.ts')).runHelper(args);
    case 'kill-all':
      return (await import('../control/helper/kill-all.ts')).runKillAll(args);
    case 'doctor':
      return (await import('../control/doctor/main.ts')).runNodeDoctor(args);
    default:
      return misused(`${command ?? 'no command'}: one of agent, helper, kill-all, doctor is needed`);
  }
}

runProgram(main);
