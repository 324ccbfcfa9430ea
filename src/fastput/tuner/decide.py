"""decide(state, sample) -> (state, settings): how many requests are in flight. Pure: no clocks, threads or I/O.

    RAMP    doubles the window while nearly all of that shows in the goodput; on a long way it goes by a model
    HOLD    rests; looks whether what the window gives has changed; on a full link it goes by the same model
    TRIAL   tries a little more or less, and keeps what is better: so it finds the place, and follows it

One rule compares two windows: the larger one has to raise the goodput by at least a share of what it is larger, on a
logarithmic scale: the price of a connection. It is low where nothing queues, so that a link is filled, and rises with
queueing delay, so that transfers that share a link or a store leave room for one another: who has the larger share
earns less by a further request than who has the smaller.

docs/decisions/0010-autotuner.md has the reasons and the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from fastput.tuner.level import FULL_INFLATION, LONG_RTT_S, Level, Limit, is_steady, level_of, settle_s, span
from fastput.tuner.sample import Lack, Sample
from fastput.tuner.settings import Settings
from fastput.tuner.settled import Settled

FIRST_WINDOW = 8
# On a long way a connection that BBR begins when the link is full gets a fraction of its share, and a quarter more each
# eight round trips: its part is the last to end. So the ramp goes to what bridges the pauses between parts, no further.
_LONG_WAY_S = 0.05
# So all transfers there have the same window from the beginning on, as long as each request has so many parts to send:
# who comes late to a full link gets its share sooner, and 24 to 32 are the best for one alone.
_LONG_WINDOW = 24
_ROUNDS = 4
MOST_WINDOW = 240
# Between two parts of a connection there are round trips and the store's work: fewer leave gaps.
LEAST_WINDOW = 4

_LEAST_PRICE = 0.1
# Where a queue is full nothing is to be had but from others, and half of that would come from a like transfer.
_LINK_PRICE = 0.6
_MOST_PRICE = 0.9
# On a link so many connections cost little each, and so many more the most.
_FREE_WINDOW = 24
_DEAR_WINDOWS = 32
# A judgement is certain at so many standard errors.
_CERTAIN = 2.0
# Steps in HOLD, as a share of the window; they grow with each success and get finer with each failure.
_STEP = 0.12
_LEAST_STEP = 0.03
_FINER = 0.7
_MOST_STEP_UP = 0.6
_MOST_STEP_DOWN = 0.25
_LEAST_REST_S = 0.5
_MOST_REST_S = 6.0
_CHANGED = 0.15
_BENT = 0.75
_ANOTHER_WAY = 0.5
# An overshoot is paid for with all that is in flight: from so many on the ramp is less steep.
_MANY = 64
_COLLAPSED = 0.7
# What falls so low twice in a row after a step up doesn't need to be looked at for longer.
_FALLEN = 0.6
# What was taken back is on its way to the other end for so long.
_SHED_S = 1.0
# A window is what it seemed when it was seen so often: buffers of the other end may take in a second's worth.
_SURE_LOOKS = 4
# So much more or less isn't worth moving for.
_ABOUT = 1.15
_ABOUT_FULL = 1.08
# Windows that bridge the pauses between parts are so many times the root of how many parts are on their way.
_BRIDGE = 18.0
# A window is compared with another when its goodput is known so well.
_KNOWN_ERROR = 0.05
_RAMP_S = 0.2
_TRIAL_S = 0.4
_LONGEST_TRIAL_S = 2.0
# After SlowDown nothing more is asked for.
_PENANCE_S = 5.0


class Phase(StrEnum):
    RAMP = "ramp"
    HOLD = "hold"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    Attributes:
        least_window, most_window: equal: pinned.
        cpus: that this process may use.
    """

    least_window: int = LEAST_WINDOW
    most_window: int = MOST_WINDOW
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """
    Attributes:
        window: in force.
        samples: of this window, as far as they count.
        quiet_s: what is seen doesn't count for so long yet.
        best: RAMP: the best level so far; HOLD, TRIAL: what the window gave that a trial is compared with.
        earlier: what an earlier transfer settled on, until that is seen to be right or wrong.
        before: HOLD: what it came from by a step up, until it is sure that this was one.
        step: of the next trial, as a share; negative: down.
        rest_s: until the next trial; rests_s: how long the rest before was.
        penance_s: no more requests for so long.
        limit: what holds the transfer back, as far as it's known.
        suspect: HOLD: the window seemed to give something else than before.
        ceiling: a window that turned out to be too large: the place lies below.
        sheds: a step up has made it so much worse that its requests are taken back.
        fallen: samples in a row that were far lower than before the step up.
        share_bytes_per_s: the most that one request has been given: what a crowded store is compared with.
    """

    bounds: Bounds = Bounds()
    phase: Phase = Phase.RAMP
    window: int = FIRST_WINDOW
    samples: tuple[Sample, ...] = ()
    quiet_s: float = 0.3
    best: Level | None = None
    before: Level | None = None
    earlier: Settled | None = None
    step: float = _STEP
    rest_s: float = _LEAST_REST_S
    rests_s: float = _LEAST_REST_S
    penance_s: float = 0.0
    limit: Limit = Limit.WINDOW
    share_bytes_per_s: float = 0.0
    suspect: Level | None = None
    fallen: int = 0
    ceiling: int | None = None
    sheds: bool = False

    @property
    def settings(self) -> Settings:
        return Settings(window=self.window, sheds=self.sheds)


def begin(bounds: Bounds, earlier: Settled | None = None) -> State:
    """The first state. earlier: what an earlier transfer settled on; a ramp from there would overshoot."""
    if earlier is None:
        return State(bounds, window=_within(bounds, FIRST_WINDOW))
    return State(bounds, Phase.HOLD, _within(bounds, earlier.window), earlier=earlier)


def settled(state: State) -> Settled | None:
    """What the next transfer may begin with; None: this one didn't come to know it."""
    best = state.best
    if best is None or state.phase is Phase.RAMP or best.limit not in (Limit.WINDOW, Limit.LINK, Limit.STORE):
        return None
    return Settled(best.window, best.goodput_bytes_per_s)


def decide(state: State, sample: Sample) -> tuple[State, Settings]:
    """What to do next, after one more sample."""
    after = _decide(state, sample)
    return after, after.settings


def _decide(state: State, sample: Sample) -> State:
    if sample.is_tail:
        return replace(state, samples=())  # nothing that could be changed
    state = replace(state, penance_s=max(0.0, state.penance_s - sample.elapsed_s), sheds=False)
    if sample.slow_downs:
        return _back_off(state, sample)
    if sample.lack is not Lack.NOTHING:
        return replace(state, samples=(), limit=Limit(sample.lack))
    moved_bytes = sample.confirmed_bytes if sample.goodput_bytes is None else sample.goodput_bytes
    if state.phase is Phase.RAMP and state.best is None and state.window < (window := _first_window(state, sample)):
        return _move(state, window, sample)
    state = replace(state, fallen=state.fallen + 1 if _falls(state, sample) else 0)
    if state.fallen >= 2:
        return _give_up(state, sample)
    if state.quiet_s > 0 or (state.best is None and not state.samples and moved_bytes == 0):
        # Connecting takes its time, and requests above a window that has shrunk must end first.
        is_quiet = moved_bytes > 0 and sample.in_flight <= 1.1 * state.window + 1
        return replace(state, quiet_s=state.quiet_s - sample.elapsed_s if is_quiet else state.quiet_s)
    state = replace(state, samples=(*state.samples, sample), rest_s=state.rest_s - sample.elapsed_s)
    if not is_steady(state.samples, _RAMP_S if state.phase is Phase.RAMP else _TRIAL_S):
        return state
    level = level_of(state.samples, state.window, state.bounds.cpus)
    if state.phase is Phase.TRIAL and not _is_certain(state, level):
        return state
    share_bytes_per_s = max(state.share_bytes_per_s, level.each_bytes_per_s)
    samples = state.samples
    state = replace(state, limit=level.limit, share_bytes_per_s=share_bytes_per_s, samples=())
    if state.phase is Phase.RAMP:
        # Connections may still be starting: what the last quarter has shown.
        late = level_of(samples[-(len(samples) // 4) - 1 :], state.window, state.bounds.cpus)
        return _ramp(state, level, late, sample)
    return _hold(state, level, sample) if state.phase is Phase.HOLD else _judge(state, level, sample)


def _is_certain(state: State, level: Level) -> bool:
    """Whether a trial has shown enough: it is clearly better or worse, or has taken long."""
    assert state.best is not None
    small, large = sorted((state.best, level), key=lambda each: each.window)
    gain = math.log(large.goodput_bytes_per_s / small.goodput_bytes_per_s)
    needed = price(large, state.share_bytes_per_s, _is_bridged(state, state.best, state.samples[-1]))
    needed *= math.log(large.window / small.window)
    doubt = _CERTAIN * math.hypot(small.error, large.error)
    return abs(gain - needed) > doubt or span(state.samples) >= _longest_s(state.samples[-1])


def _longest_s(sample: Sample) -> float:
    """A look takes no longer, however little it shows."""
    return max(_LONGEST_TRIAL_S, 6 * (sample.rtt_s or 0.0))


def price(level: Level, share_bytes_per_s: float, is_full: bool = False) -> float:
    """What a step up to this level has to earn: the elasticity of the goodput to the window, 0 to 1.

    A crowded store gets worse for all: the price rises as a request gets a half to a quarter of what one got at best.
    On a link what one transfer gains another loses: the price rises with its connections, and who has more than half
    of the link gains less than half of what it adds: so they come to the same.
    """
    if level.limit is Limit.STORE:
        crowding = (share_bytes_per_s / level.each_bytes_per_s - 2.0) / 2.0
    else:
        crowding = (level.window - _FREE_WINDOW) / _DEAR_WINDOWS
    least_price = _LINK_PRICE if is_full else _LEAST_PRICE
    return least_price + (_MOST_PRICE - least_price) * min(1.0, max(0.0, crowding))


def elasticity(small: Level, large: Level) -> float:
    """How much of its being larger a window has made of the goodput: 1: all of it; 0: none."""
    return math.log(large.goodput_bytes_per_s / small.goodput_bytes_per_s) / math.log(large.window / small.window)


def _earns(state: State, small: Level, large: Level) -> bool:
    return elasticity(small, large) > price(large, state.share_bytes_per_s)


def _ramp(state: State, level: Level, late: Level, sample: Sample) -> State:
    """Doubles the window as long as nearly all of that shows; the trials of HOLD find the place in the last step.

    late: the end of the level.
    """
    best = state.best
    if best is not None and not _earns(state, best, level):
        return replace(_rest(state, best, sample), step=_STEP, ceiling=_ceiling(state, best))
    is_bent = best is not None and elasticity(best, level) < _BENT
    least_window = _least_window(state, late, sample)
    if _is_long_way(sample):
        more = least_window if level.window < least_window <= _worth_beginning(sample) else level.window
    else:
        factor = 2.0 if level.window < _MANY else 1.5
        more = _within(state.bounds, max(int(factor * level.window), least_window))
    if is_bent or level.limit in (Limit.LINK, Limit.CPU, Limit.DISK) or more == level.window:
        return replace(_rest(state, level, sample), before=best)
    return _move(replace(state, best=level), more, sample)


def _fitting_window(state: State, level: Level, sample: Sample) -> int:
    """What the window of a level is moved to without a trial. On a full link there is nothing to be tried."""
    fitting_window = _least_window(state, level, sample)
    if level.limit is Limit.LINK:
        fitting_window = max(_first_window(state, sample), fitting_window)
    about = _ABOUT_FULL if level.limit is Limit.LINK else _ABOUT
    is_less = level.limit is Limit.LINK and level.window > about * fitting_window
    is_more = about * level.window < fitting_window <= _worth_beginning(sample)
    return fitting_window if is_less or is_more else level.window


def _fewest(state: State, level: Level, sample: Sample) -> int:
    """What no trial goes below: a connection that is given up and made anew begins with next to nothing."""
    first_window = _first_window(state, sample)
    is_long_way = first_window > FIRST_WINDOW and level.limit in (Limit.LINK, Limit.WINDOW)
    return max(first_window if is_long_way else 0, _least_window(state, level, sample))


def _first_window(state: State, sample: Sample) -> int:
    """What a transfer begins with, and keeps at least on a full link."""
    window = min(_LONG_WINDOW, max(FIRST_WINDOW, _worth_beginning(sample))) if _is_long_way(sample) else FIRST_WINDOW
    return _within(state.bounds, int(window))


def _is_long_way(sample: Sample) -> bool:
    return (sample.min_rtt_s or 0.0) >= _LONG_WAY_S


def _worth_beginning(sample: Sample) -> float:
    """So many requests have enough to send: on a full link the last ones to begin are the last to end."""
    return math.inf if sample.left_bytes is None else sample.left_bytes / max(1, sample.part_bytes) / _ROUNDS


def _least_window(state: State, level: Level, sample: Sample) -> int:
    """So many requests that the way doesn't notice the pauses between parts: those take seconds to show themselves.

    The more parts are on their way (goodput times round-trip time), the more requests; but only by the root of it, and
    that is what makes transfers share a full link. There each request gets the same, so one transfer's goodput is to
    the other's as their windows are; roots of the goodputs are nearer to one another than these windows were, and
    after a few steps they are the same.
    """
    if level.limit not in (Limit.LINK, Limit.WINDOW):
        return state.bounds.least_window
    parts_on_their_way = (sample.min_rtt_s or 0.0) * level.goodput_bytes_per_s / max(1, sample.part_bytes)
    return _within(state.bounds, round(_BRIDGE * math.sqrt(parts_on_their_way)))


def _is_bridged(state: State, level: Level, sample: Sample) -> bool:
    """Whether a link is as good as full: more requests would take from others."""
    if level.limit is Limit.WINDOW and (sample.min_rtt_s or 0.0) >= LONG_RTT_S:
        return level.window >= _least_window(state, level, sample)
    return level.limit is Limit.LINK


def _rest(state: State, level: Level, sample: Sample) -> State:
    state = replace(state, phase=Phase.HOLD, best=level, before=None, step=-_STEP)
    state = replace(state, rest_s=_LEAST_REST_S, rests_s=_LEAST_REST_S)
    return _move(state, _fitting_window(state, level, sample), sample)


def _falls(state: State, sample: Sample) -> bool:
    """Whether a step up has made it far worse, as at a store that thrashes; then each moment there costs.

    What is seen after a step up reads high, never low. Not on a link: there BBR's PROBE_RTT looks alike.
    """
    base, moved_bytes = _ground(state), sample.goodput_bytes
    if base is None or moved_bytes is None or base.limit is not Limit.STORE:
        return False
    is_up = state.window > base.window and sample.in_flight > base.window
    return is_up and moved_bytes < _FALLEN * base.goodput_bytes_per_s * sample.elapsed_s


def _ground(state: State) -> Level | None:
    """What a step up may have to be taken back to."""
    return state.before if state.phase is Phase.HOLD else state.best


def _give_up(state: State, sample: Sample) -> State:
    """A step up has failed."""
    base = _ground(state)
    assert base is not None
    is_trial = state.phase is Phase.TRIAL
    ceiling = _ceiling(state, base)
    state = _take_back(state, base, sample) if is_trial else replace(_rest(state, base, sample), step=_STEP)
    return replace(state, sheds=True, quiet_s=_SHED_S, ceiling=ceiling)


def _ceiling(state: State, base: Level) -> int | None:
    """A window that a store has thrashed at, or might have; a link's share may be had later."""
    return state.window if base.limit is Limit.STORE and state.window > base.window else state.ceiling


def _hold(state: State, level: Level, sample: Sample) -> State:
    """Rests at a window; looks whether what it gives has changed."""
    base, earlier = state.best, state.earlier
    if earlier is not None and level.goodput_bytes_per_s < _ANOTHER_WAY * earlier.goodput_bytes_per_s:
        # What was right then is far too much now, as it seems: better from the beginning than down step by step.
        return begin(state.bounds)
    if base is None or base.window != state.window:
        base = level
    state = replace(state, earlier=None)
    is_overdue = state.rest_s <= -_longest_s(sample)
    if _differs(base, level) and not is_overdue:
        # Once may be chance: every ten seconds BBR lets a connection's queue run empty to see the round-trip time.
        if state.suspect is None or _differs(state.suspect, level):
            return replace(state, suspect=level)
        if state.before is not None and level.goodput_bytes_per_s < state.before.goodput_bytes_per_s:
            return _give_up(state, sample)  # the larger window only filled buffers
        ratio = level.goodput_bytes_per_s / base.goodput_bytes_per_s
        is_collapse = ratio < _COLLAPSED and level.limit is not Limit.LINK
        step = -0.35 if is_collapse else state.step if level.inflation >= FULL_INFLATION else 0.25
        base = state.suspect.again(level)
        state = replace(state, best=base, before=None, suspect=None, ceiling=None, step=step)
        state = replace(state, rests_s=_LEAST_REST_S, rest_s=0.0)
    else:
        base = base.again(level) if base is not level else level
        state = replace(state, best=base, before=state.before if base.looks < _SURE_LOOKS else None, suspect=None)
    if (window := _fitting_window(state, base, sample)) != state.window:
        return _move(replace(state, best=None, before=None), window, sample)
    if base.limit is Limit.LINK:
        return state
    is_ready = state.rest_s <= 0 and base.error <= _KNOWN_ERROR
    return _try(state, sample) if is_ready or is_overdue else state


def _differs(base: Level, level: Level) -> bool:
    """Whether a window gives something else than it did, or its link has got room."""
    ratio = level.goodput_bytes_per_s / base.goodput_bytes_per_s
    return abs(ratio - 1) > _CHANGED or base.inflation >= FULL_INFLATION > level.inflation + 0.1


def _try(state: State, sample: Sample) -> State:
    """Begins a trial of another window, if there is one worth it."""
    assert state.best is not None
    if sample.left_bytes is not None and sample.left_bytes < state.window * sample.part_bytes:
        return state  # it wouldn't be seen any more, and more parts at once take longer to end
    is_client = state.best.limit in (Limit.CPU, Limit.DISK)
    step = state.step
    if step > 0 and (state.penance_s > 0 or is_client):
        step = -_STEP
    change = max(1, round(abs(step) * state.window))
    window = _within(state.bounds, state.window + (change if step > 0 else -change))
    if step > 0 and state.ceiling is not None:
        window = max(state.window, int(math.sqrt(state.window * state.ceiling)))
    if step < 0:
        window = min(state.window, max(window, _fewest(state, state.best, sample)))
    if window == state.window:
        return replace(state, step=-step, rest_s=state.rests_s)
    return replace(_move(state, window, sample), phase=Phase.TRIAL, step=step)


def _judge(state: State, level: Level, sample: Sample) -> State:
    """A trial has ended: keeps the better of the two windows."""
    base = state.best
    assert base is not None
    small, large = sorted((base, level), key=lambda each: each.window)
    needed = price(large, state.share_bytes_per_s, _is_bridged(state, base, sample))
    gain = (elasticity(small, large) - needed) * math.log(large.window / small.window)
    # More requests have to earn their price surely; fewer are as good if it may be chance.
    if (gain > math.hypot(small.error, large.error)) == (large is level):
        most = _MOST_STEP_UP if state.step > 0 else _MOST_STEP_DOWN
        step = math.copysign(min(most, 1.7 * abs(state.step)), state.step)
        before = base if large is level else None
        state = replace(state, phase=Phase.HOLD, best=level, before=before, step=step)
        return _try(replace(state, rests_s=_LEAST_REST_S, rest_s=0.0), sample)
    return _take_back(state, base, sample)


def _take_back(state: State, base: Level, sample: Sample) -> State:
    """A trial was worse: rests for longer, then tries the other way."""
    # What was too much once may not be for ever.
    ceiling = _ceiling(state, base) if state.rests_s < _MOST_REST_S else None
    rests_s = min(_MOST_REST_S, 2 * state.rests_s)
    size = max(_LEAST_STEP, _FINER * min(_STEP, abs(state.step)))
    step = math.copysign(size, -state.step)
    state = replace(state, phase=Phase.HOLD, step=step, rests_s=rests_s, rest_s=rests_s, ceiling=ceiling)
    return _move(state, base.window, sample)


def _back_off(state: State, sample: Sample) -> State:
    """The store asks for less."""
    if state.penance_s > _PENANCE_S - 1.0:
        return replace(state, samples=())  # answers to requests that were sent before
    window = _within(state.bounds, int(0.7 * min(state.window, max(1, sample.in_flight))))
    state = replace(state, penance_s=_PENANCE_S, limit=Limit.STORE, phase=Phase.HOLD, step=_STEP)
    state = replace(state, best=None, before=None)
    return _move(state, window, sample)


def _move(state: State, window: int, sample: Sample) -> State:
    quiet_s = settle_s(sample) if window != state.window else 0.0
    return replace(state, window=_within(state.bounds, window), samples=(), quiet_s=quiet_s, suspect=None, fallen=0)


def _within(bounds: Bounds, window: int) -> int:
    return min(bounds.most_window, max(bounds.least_window, window))
