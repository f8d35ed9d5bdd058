import { join } from 'node:path';
import type { Child } from '../../../src/platform/children.ts';

/** What the daemon is started with. */
export interface ShimConfig {
  readonly dialect: 'openpbs' | 'torque';
  readonly directory: string;
  readonly socket: string;
  readonly nodes: readonly ShimNode[];
  readonly killDelaySeconds: number;
  /** What a node does before a job's first process. */
  readonly prologSeconds: number;
  /** Whether those who ask may do what only operators may. */
  readonly operators: boolean;
}

/** A node; they need not be alike. */
export interface ShimNode {
  readonly name: string;
  readonly netns: string;
  readonly cpus: number;
  readonly memoryMiB: number;
}

/** The jobs whose processes pbs_mom had to look for: they left their task's leader. */
export function orphansFileOf({ directory }: Pick<ShimConfig, 'directory'>): string {
  return join(directory, 'orphans');
}

/** What a program asks. */
export interface ShimRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly input: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What it prints, and how it ends. */
export interface ShimAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export const serverName = 'pbss';
/**
 * As recorded: how long pbs_mom tries to copy output that this host does not take, and how late it
 * looks for processes that a task's leader has left behind.
 */
export const stagingSeconds = 95;
export const orphanSeconds = 7;
/** How long pbs_mom tries to reach pbs_demux before it gives a task up. */
export const demuxSeconds = 2;

/** A process that a mom has started: the leader of a session of its own. */
export interface Task {
  readonly node: string;
  readonly child: Child;
}

/** A job; times in whole seconds since the epoch. */
export interface Job {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly queue: string;
  readonly nodes: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Of `-l`, as given. */
  readonly select: string;
  readonly rerunable: boolean;
  readonly joins: boolean;
  readonly output: string | undefined;
  /** `-k oe`: its output stays in the user's home. */
  readonly keeps: boolean;
  readonly project: string;
  readonly submitArguments: string;
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cookie: string;
  readonly createdAt: number;
  walltimeSeconds: number;
  state: 'Q' | 'H' | 'R' | 'S' | 'E' | 'ended';
  comment: string;
  changedAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  exitStatus: number | undefined;
  substate: number;
  runs: number;
  hosts: readonly string[];
  tasks: readonly Task[];
  /** Why it is being ended. */
  ending: 'deleted' | 'walltime' | 'rerun' | 'restarted' | undefined;
  stopTimers: readonly (() => void)[];
}

/** A program's answer that says what is wrong. */
export class Refusal extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
