#!lua flags=allow-oom
-- What is due and not planned: jobs for each of which a plan is to be asked for, and whether small ones wait.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] ms before which nobody is woken for the same job again, ARGV[2] the most rows of a small job
-- Returns {"1" where somebody is to be woken for small jobs, job, …}
-- Jobs whose time came and that are small join those that are planned together.

local prefix = string.sub(KEYS[1], 1, -4)
local LOOKED_AT = 1000
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local SETS = { 'small', 'small:otp' }

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, LOOKED_AT)
local waits_with_others = {}
if #due > 0 then
  for _, name in ipairs(SETS) do
    for n, since in ipairs(redis.call('ZMSCORE', prefix .. name, unpack(due))) do
      if since then waits_with_others[due[n]] = true end
    end
  end
end

local result = { '0' }
for _, job in ipairs(due) do
  if not waits_with_others[job] then
    local told = redis.call('HMGET', prefix .. 'job:' .. job, 'accepted', 'chunks')
    if not told[2] and tonumber(told[1] or '0') <= tonumber(ARGV[2]) then
      redis.call('ZADD', prefix .. 'small', now, job)
    elseif redis.call('SET', prefix .. 'job:' .. job .. ':woken', 1, 'NX', 'PX', ARGV[1]) then
      result[#result + 1] = job
    end
  end
end
local waiting = 0
for _, name in ipairs(SETS) do waiting = waiting + redis.call('ZCOUNT', prefix .. name, '-inf', now) end
if waiting > 0 and redis.call('SET', prefix .. 'woken', 1, 'NX', 'PX', ARGV[1]) then result[1] = '1' end
return result
