#!lua flags=allow-oom
-- Read small jobs that are to be planned now, those of the lane otp first; one process at a time has the right to.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] a token of the process, ARGV[2] ms for which nobody else may take any, ARGV[3] the most jobs
-- Returns {ms of the clock, job, meta, chunk, chunks, planned, ahead_ms, cancelled, forgot, cut, its page, …} with "" for what is
-- not there; {ms} alone where none waits: then another process may take what comes next. nil where another process has
-- the right now: it will find what this one was woken for.

local prefix = string.sub(KEYS[1], 1, -4)
local lock = prefix .. 'taking'
local owner = redis.call('GET', lock)
if owner and owner ~= ARGV[1] then return nil end
redis.call('DEL', prefix .. 'woken')
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local jobs, most = {}, tonumber(ARGV[3])
for _, name in ipairs({ 'small:otp', 'small' }) do
  if #jobs < most then
    local found = redis.call('ZRANGEBYSCORE', prefix .. name, '-inf', now, 'LIMIT', 0, most - #jobs)
    for _, job in ipairs(found) do jobs[#jobs + 1] = job end
  end
end
local found = { now }
if #jobs == 0 then
  redis.call('DEL', lock)
  return found
end
redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
local chunks, cuts = {}, {}
for n, job in ipairs(jobs) do
  chunks[n] = prefix .. 'chunk:' .. job .. ':0'
  cuts[n] = prefix .. 'cut:' .. job
end
local raw_chunks = redis.call('MGET', unpack(chunks))
local some_are_cut = redis.call('EXISTS', unpack(cuts)) > 0
for n, job in ipairs(jobs) do
  local told = redis.call('HMGET', prefix .. 'job:' .. job, 'meta', 'chunks', 'planned', 'ahead_ms', 'cancelled', 'forgot')
  local raws = {
    job, told[1], raw_chunks[n], told[2], told[3], told[4], told[5], told[6],
  }
  if some_are_cut then
    local cut = redis.call('HMGET', cuts[n], 0, 'page')
    raws[9], raws[10] = cut[1], cut[2]
  end
  for i = 1, 10 do found[#found + 1] = raws[i] or '' end
end
return found
