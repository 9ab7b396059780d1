"""What runs inside a shared store: a script is atomic there, and reads one clock for all engines.

Keys, below the prefix: `count:KEY` a TAT in microseconds (see gateway.engine.rate), `spent:ID`, `cache:KEY`, all three
of them expire; `overrides` a hash of subject -> JSON, and `version`, which no subject can be called. Each script has
one key, so that it runs in a cluster too.
"""

from __future__ import annotations

from hashlib import sha1

from gateway.engine.override import MAX_OVERRIDES
from gateway.engine.question import Count
from gateway.engine.rate import interval_us

VERSION = "version"

COUNT = """\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = tonumber(ARGV[1])
local full = now + ARGV[2] * step
local tat = tonumber(redis.call('GET', KEYS[1]) or 0)
local lowered = tat > full
if lowered then tat = full end
local following = math.max(tat, now) + step
local allowed = following <= full
if allowed then tat = following end
if allowed or lowered then
  redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
end
return {allowed and 1 or 0, allowed and 0 or following - full}
"""
"""gateway.engine.rate.conform. ARGV: interval in microseconds, burst. Returns {allowed, microseconds to wait}."""
COUNT_SHA = sha1(COUNT.encode(), usedforsecurity=False).hexdigest()

PUT = f"""\
local time = redis.call('TIME')
local hash, subject = KEYS[1], ARGV[1]
if ARGV[3] == 'new' and redis.call('HEXISTS', hash, subject) == 1 then return 1 end
if redis.call('HEXISTS', hash, subject) == 0 and redis.call('HLEN', hash) > {MAX_OVERRIDES} then
  local entries = redis.call('HGETALL', hash)
  for i = 1, #entries, 2 do
    local readable, entry = pcall(cjson.decode, entries[i + 1])
    if entries[i] ~= '{VERSION}' and not (readable and entry.until_s > tonumber(time[1])) then
      redis.call('HDEL', hash, entries[i])
    end
  end
  if redis.call('HLEN', hash) > {MAX_OVERRIDES} then return 0 end
end
redis.call('HSET', hash, subject, ARGV[2])
redis.call('HSETNX', hash, '{VERSION}', string.format('%d%06d', time[1], time[2]))
redis.call('HINCRBY', hash, '{VERSION}', 1)
redis.call('PUBLISH', hash, subject)
return 1
"""
"""ARGV: subject, JSON, `new` to keep an entry that is there. Returns 0 if it is full of those in force, else 1. The
first version is the time: a list that was lost and begun again is never taken for the one that an engine knows."""

REMOVE = f"""\
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], '{VERSION}', 1)
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
"""
"""ARGV: subject. Returns 1 if there was one."""


def count_command(question: Count, prefix: str, *, by_text: bool = False) -> tuple[str | int, ...]:
    """The command that asks a store; by the script's digest, or by its text where the store does not know it yet."""
    key, limit, per_s, burst = question
    script = ("EVAL", COUNT) if by_text else ("EVALSHA", COUNT_SHA)
    return (*script, 1, f"{prefix}count:{key}", interval_us(limit, per_s), burst)
