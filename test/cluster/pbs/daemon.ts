/** The daemon of the PBS of the tests: `node --import tsx daemon.ts CONFIG`. It keeps the queue, runs the jobs, and answers the programs (client.mjs) on its socket, one JSON line each way. */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { secondsOf } from '../../../src/lrm/commands.ts';
import { signalTasks } from './mom.ts';
import {
  type Job,
  Refusal,
  type ShimAnswer,
  type ShimConfig,
  type ShimRequest,
  serverName,
  type Task,
} from './model.ts';
import * as openPbs from './openpbs.ts';
import { PbsServer } from './server.ts';
import * as torque from './torque.ts';

const config = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as ShimConfig;
const server = new PbsServer(config);
const says = config.dialect === 'openpbs' ? openPbs : torque;

/** Whether pbs_server is stopped. The moms go on. */
let isDown = false;

const good = (stdout: string): ShimAnswer => ({ stdout, stderr: '', code: 0 });

function fullId(id: string | undefined): string {
  return id?.includes('.') ? id : `${id}.${serverName}`;
}

function known(command: string, id: string | undefined): Job {
  const job = server.jobs.get(fullId(id));
  if (!job) throw new Refusal(153, `${command}: Unknown Job Id ${fullId(id)}`);
  return job;
}

function qstat(args: readonly string[]): ShimAnswer {
  const ids = args.filter(arg => /^\d/.test(arg));
  if (args.includes('-B')) return good(says.serverAnswer(server));
  if (args.includes('-Q')) return good(says.queuesAnswer(server));
  return config.dialect === 'openpbs'
    ? openPbs.jobsAnswer(server, ids, {
        withEnded: args.includes('-x'),
        user: args.includes('-u') ? args[args.indexOf('-u') + 1] : undefined,
      })
    : good(torque.jobsAnswer(server, ids));
}

function qalter([, list = '', id]: readonly string[]): ShimAnswer {
  const job = known('qalter', id);
  const seconds = secondsOf(list.replace(/^walltime=/, ''));
  if (seconds === undefined)
    throw new Refusal(166, 'qalter: Illegal attribute or resource value Resource_List.walltime');
  if (job.state !== 'R') throw new Refusal(170, `qalter: Request invalid for state of job ${job.id}`);
  if (!config.operators) throw new Refusal(159, `qalter: Unauthorized Request  ${job.id}`);
  job.walltimeSeconds = seconds;
  server.armWalltime(job);
  return good('');
}

/** Not a program of PBS: what its scheduler and machines do. */
function administer([what = '', id]: readonly string[]): void {
  if (what === 'stop-server' || what === 'start-server') {
    isDown = what === 'stop-server';
    return;
  }
  if (what === 'limit-jobs') {
    server.mostJobsOfUser = Number(id);
    return;
  }
  const job = known(what, id);
  if (what === 'preempt-by-suspension') server.suspend(job, 45);
  if (what === 'resume') server.resume(job);
  if (what === 'preempt-by-deletion') server.delete(job, `Scheduler@${serverName}`);
  if (what === 'restart-mom') server.restartMom(job);
}

function answerAtOnce(request: ShimRequest): ShimAnswer {
  const { command, args, env } = request;
  const id = args.at(-1);
  switch (command) {
    case 'qsub':
      return good(`${server.submit(request).id}\n`);
    case 'qstat':
      return qstat(args);
    case 'pbsnodes':
      return good(says.nodesAnswer(server));
    case 'qalter':
      return qalter(args);
    case 'qdel': {
      const job = server.jobs.get(fullId(id));
      says.refuseDeletion(fullId(id), job);
      if (job) server.delete(job, `${env['USER'] ?? 'root'}@${serverName}`);
      return good('');
    }
    case 'qrls': {
      const job = known(command, id);
      if (job.state === 'H') Object.assign(job, { state: 'Q', substate: 10 });
      server.schedule();
      return good('');
    }
    case 'qhold': {
      const job = known(command, id);
      if (job.state === 'Q') Object.assign(job, { state: 'H', substate: 20 });
      return good('');
    }
    case 'qsig': {
      const job = known(command, id);
      if (args[1] === 'resume') server.resume(job);
      else server.suspend(job, 43);
      return good('');
    }
    case 'administer':
      administer(args);
      return good('');
    case 'qrerun':
      server.rerun(known(command, id));
      return good('');
    default:
      return { stdout: '', stderr: `${command}: not here\n`, code: 127 };
  }
}

async function pbsdsh(
  { args, env }: ShimRequest,
  onTasks: (tasks: readonly Task[]) => void,
): Promise<ShimAnswer> {
  const job = server.jobs.get(env['PBS_JOBID'] ?? '');
  if (env['PBS_ENVIRONMENT'] === undefined || job?.cookie !== env['PBS_JOBCOOKIE'] || job === undefined)
    return { stdout: '', stderr: 'pbsdsh: not executing under PBS\n', code: 1 };
  const options = args.slice(0, args.indexOf('--'));
  const codes = await server.spawnAll(job, args.slice(options.length + 1), options.includes('-u'), onTasks);
  if (codes === undefined)
    return { stdout: '', stderr: job.hosts.map(() => 'error 17000 on spawn\n').join(''), code: 0 };
  const lines = codes.flatMap((code, index) => {
    const task = config.dialect === 'openpbs' ? `0x${String(index).padStart(8, '0')}` : String(index);
    return code === 0 ? [] : [`pbsdsh: task ${task} exit status ${code}\n`];
  });
  const said = lines.join('');
  return config.dialect === 'openpbs' ? good(said) : { stdout: '', stderr: said, code: 0 };
}

function serve(connection: net.Socket): void {
  let tasks: readonly Task[] = [];
  let signalled: NodeJS.Signals | undefined;
  const answer = (said: ShimAnswer): void => void connection.end(JSON.stringify(said));
  const refused = (cause: unknown): void => {
    const code = cause instanceof Refusal ? cause.code : 1;
    answer({ stdout: '', stderr: `${(cause as Error).message}\n`, code });
  };
  // A program that was killed.
  connection.on('error', () => undefined);
  const lines = createInterface({ input: connection }).on('error', () => undefined);
  lines.on('line', line => {
    const said = JSON.parse(line) as ShimRequest | { readonly signal: NodeJS.Signals };
    if ('signal' in said) {
      signalled = said.signal;
      signalTasks(tasks, said.signal);
      return;
    }
    if (isDown && said.command !== 'pbsdsh' && said.command !== 'administer') {
      connection.end();
      return;
    }
    if (said.command === 'pbsdsh') {
      const started = (those: readonly Task[]): void => {
        tasks = those;
        if (signalled) signalTasks(tasks, signalled);
      };
      pbsdsh(said, started).then(answer, refused);
      return;
    }
    try {
      answer(answerAtOnce(said));
    } catch (cause) {
      refused(cause);
    }
  });
}

net.createServer({ allowHalfOpen: true }, serve).listen(config.socket);
