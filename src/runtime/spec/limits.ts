import type {HostAbilities, Ulimit} from './input.ts';
import type {OciRlimit} from './oci-spec.ts';

/** Bounds of /proc/PID/oom_score_adj (proc(5)). */
const OOM_SCORE_ADJ_MIN = -1000;
const OOM_SCORE_ADJ_MAX = 1000;

/**
 * Resource limits of the process, none above what the daemon holds: a process without
 * CAP_SYS_RESOURCE cannot raise a hard limit, and runc fails with a text that nobody understands.
 */
export function processLimits(
  ulimits: readonly Ulimit[],
  {hardLimits}: Pick<HostAbilities, 'hardLimits'>,
): {readonly rlimits: readonly OciRlimit[]; readonly notices: readonly string[]} {
  const notices: string[] = [];
  const rlimits = ulimits.map(({name, soft, hard}) => {
    const type = `RLIMIT_${name.toUpperCase().replace(/^RLIMIT_/, '')}`;
    const held = hardLimits[type] ?? 'unlimited';
    const clampedHard = held !== 'unlimited' && hard > held ? held : hard;
    if (clampedHard !== hard) {
      notices.push(`limit ${name} of containers is ${clampedHard}, not ${hard}: the daemon's own`);
    }
    return {
      type,
      soft: soft > clampedHard ? clampedHard : soft,
      hard: clampedHard,
    };
  });
  return {rlimits, notices};
}

/** The out-of-memory score, raised to what the machine lets the daemon give. */
export function oomScoreAdjustment(
  wanted: bigint,
  {oomScoreAdjMin}: Pick<HostAbilities, 'oomScoreAdjMin'>,
): {readonly oomScoreAdj: number; readonly notices: readonly string[]} {
  const inRange = Math.min(OOM_SCORE_ADJ_MAX, Math.max(OOM_SCORE_ADJ_MIN, Number(wanted)));
  if (inRange >= oomScoreAdjMin) return {oomScoreAdj: inRange, notices: []};
  return {
    oomScoreAdj: oomScoreAdjMin,
    notices: [
      `oom_score_adj of containers is at least ${oomScoreAdjMin}: lower needs CAP_SYS_RESOURCE`,
    ],
  };
}
