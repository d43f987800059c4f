-- include pressure.lua
-- Make an uploaded job exist: all of it or nothing.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] job, ARGV[2] msgpack JobMeta, ARGV[3] ms when it is to be planned (0: now), ARGV[4] the producer's clock, ms,
-- ARGV[5] accepted rows, ARGV[6] failed, ARGV[7] suppressed, ARGV[8] chunks,
-- ARGV[9] digest of the idempotency key or "", ARGV[10] digest of the content,
-- ARGV[11] the only chunk where there is one (so that a small job is one round trip), else "",
-- ARGV[12] the format that the producer writes, ARGV[13] the oldest that its version reads,
-- ARGV[14] name of the set of small jobs that it is planned with, "" for none,
-- ARGV[15] list on which a wake-up for it is to be put, "" where the broker is another server, ARGV[16] the wake-up
-- Returns {"ok", job, "1" where somebody is still to be woken, replicas} | {"same", the job that the key names, replicas}
-- | {"conflict", that job, replicas} | {"lost"} where a chunk is gone
-- | {"format", what the ledger says of its own} where workers would misread the job
-- | {"full", bytes used, maxmemory} where the server has no room for new jobs.
-- replicas: how many are to confirm it before anybody is told that it is stored
-- pressure string: whether the server had room for new jobs, see pressure.lua

local prefix = string.sub(KEYS[1], 1, -4)
local job, chunks = ARGV[1], tonumber(ARGV[8])

local function chunk(n) return prefix .. 'chunk:' .. job .. ':' .. n end

local SMALL_BYTES = 10000
local WOKEN_MS = 1000 -- a wake-up that nobody took by then is repeated with the next job

local function forget_upload()
  for n = 0, chunks - 1 do redis.call('UNLINK', chunk(n)) end
end

local names = { prefix .. 'format', prefix .. 'pressure', prefix .. 'replicas', prefix .. 'woken' }
if ARGV[9] ~= '' then names[5] = prefix .. 'key:' .. ARGV[9] end
local there = redis.call('MGET', unpack(names))
local format, pressure, replicas, woken, known = there[1], there[2], there[3] or '0', there[4], there[5]
if not format then
  format = '1' -- what was written before there was a number
  if redis.call('EXISTS', prefix .. 'all') == 0 then
    format = ARGV[12] .. ' ' .. ARGV[13]
    redis.call('SET', prefix .. 'format', format)
  end
end
local mine = tonumber(ARGV[12])
if mine > tonumber(string.match(format, '^%d+')) or mine < tonumber(string.match(format, '%d+$')) then
  forget_upload()
  return { 'format', format }
end

if known then
  local known_job, known_digest = string.match(known, '^(%S+) (%S+)$')
  if known_job == job then return { 'ok', job, '0', replicas } end
  forget_upload()
  return { known_digest == ARGV[10] and 'same' or 'conflict', known_job, replicas }
end
if redis.call('EXISTS', prefix .. 'job:' .. job) == 1 then return { 'ok', job, '0', replicas } end
local full
if #ARGV[11] > SMALL_BYTES then full = memory_used_up() else full = memory_was_used_up(names[2], pressure) end
if full then
  forget_upload()
  return full
end
if ARGV[11] ~= '' then
  redis.call('SET', chunk(0), ARGV[11])
else
  for n = 0, chunks - 1 do
    -- PERSIST answers 0 both for a key that is gone and for one without an end; only the first loses rows.
    if redis.call('PERSIST', chunk(n)) == 0 and redis.call('EXISTS', chunk(n)) == 0 then
      forget_upload()
      return { 'lost' }
    end
  end
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- Most jobs are of one message, and all of these but the first one or two are what they are without being written.
local fields = { 'meta', ARGV[2] }
local function field(name, value, usual)
  if value ~= usual then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
field('accepted', ARGV[5], '0')
field('failed', ARGV[6], '0')
field('suppressed', ARGV[7], '0')
field('chunks', ARGV[8], '1')
field('ahead_ms', now - ARGV[4], 0)
field('key', ARGV[9], '')
redis.call('HSET', prefix .. 'job:' .. job, unpack(fields))
redis.call('ZADD', prefix .. 'due', ARGV[3] == '0' and now or ARGV[3], job)
redis.call('ZADD', prefix .. 'all', now, job)
if ARGV[9] ~= '' then redis.call('SET', prefix .. 'key:' .. ARGV[9], job .. ' ' .. ARGV[10]) end
local wake = ARGV[3] == '0'
if ARGV[14] ~= '' then
  redis.call('ZADD', prefix .. ARGV[14], now, job)
  -- One wake-up for all small jobs that come before somebody looks (take.lua takes the mark away).
  wake = not woken
  if wake then redis.call('SET', names[4], 1, 'PX', WOKEN_MS) end
end
if wake and ARGV[15] ~= '' then
  redis.call('LPUSH', ARGV[15], ARGV[16])
  wake = false
end
return { 'ok', job, wake and '1' or '0', replicas }
