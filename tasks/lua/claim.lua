#!lua flags=allow-oom
-- include rows.lua
-- Lease slices from the outbox: otp strictly first, then normal and bulk at 4 : 1.
-- KEYS[1] the account's state hash
-- ARGV[1] rows wanted, ARGV[2] ms of the lease, ARGV[3] msgpack {job: rows of it that the caller holds}, or empty where
-- that does not matter, ARGV[4] "1" for slices of jobs alone of which the caller holds none, ARGV[5..] lanes that may be
-- claimed
-- Slices that a newer version wrote stay where they are.
-- Returns {id, epoch, blob, id, epoch, blob, …}: at least one slice where there is any, no more than rows wanted need.

local now = clock_ms()
local wanted, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local allowed = {}
for i = 5, #ARGV do allowed[ARGV[i]] = true end
local held = ARGV[3] ~= '' and cmsgpack.unpack(ARGV[3]) or nil
local others_only = ARGV[4] == '1'
local WEIGHT = { normal = 4, bulk = 1 }
local FOREIGN_AT_ONCE = 100
local LOOKED_AT = 16
local turn = key('turn')

local function waits(lane) return allowed[lane] and redis.call('ZCARD', key('out:' .. lane)) > 0 end

local function lane_turn(lane) return tonumber(redis.call('HGET', turn, 'lane:' .. lane) or '0') end

local function next_lane()
  if waits('otp') then return 'otp' end
  local normal, bulk = waits('normal'), waits('bulk')
  if normal and bulk then return lane_turn('normal') <= lane_turn('bulk') and 'normal' or 'bulk' end
  return normal and 'normal' or bulk and 'bulk' or nil
end

-- Take the slice out of the outbox that is next. Where the caller says what it holds, a slice of a job of which it holds
-- less goes before, if it starts before the first one would end: so that each of several processes has calls of all
-- jobs, and can give each of them its turns. Returns id and start, or nil where no slice will do.
local function take(lane)
  local out = key('out:' .. lane)
  if not held then
    local popped = redis.call('ZPOPMIN', out)
    return popped[1], popped[2]
  end
  local waiting = redis.call('ZRANGE', out, 0, LOOKED_AT - 1, 'WITHSCORES')
  local id, start = waiting[1], waiting[2]
  local least = held[job_of(id)] or 0
  local s = slice_of(id)
  local ends = tonumber(start) + (s and count_of(s, 'q') or 0)
  for n = 3, #waiting, 2 do
    local holds = held[job_of(waiting[n])] or 0
    if holds < least and tonumber(waiting[n + 1]) < ends then
      id, start, least = waiting[n], waiting[n + 1], holds
    end
  end
  if others_only and least > 0 then return nil end
  redis.call('ZREM', out, id)
  return id, start
end

local result, rows = {}, 0
local put_back_as_they_were = {}
while rows < wanted and #put_back_as_they_were < FOREIGN_AT_ONCE do
  local lane = next_lane()
  if not lane then break end
  local id, start = take(lane)
  if not id then break end
  local s = slice_of(id)
  if foreign[id] then
    put_back_as_they_were[#put_back_as_they_were + 1] = { lane, start, id }
  elseif s and count_of(s, 'q') > 0 then
    local queued = count_of(s, 'q')
    s.epoch = s.epoch + 1
    set_u32(s, 8, s.epoch)
    redis.call('ZADD', key('inflight'), now + lease_ms, s.id)
    local lane_now = tonumber(redis.call('HGET', turn, 'at:' .. lane) or '0')
    redis.call('HSET', turn, 'at:' .. lane, math.max(lane_now, tonumber(start)))
    -- The job's last slice starts no later than this one: nothing of it waits, so its place need not be kept.
    local last = 'job:' .. lane .. ':' .. s.job
    if tonumber(redis.call('HGET', turn, last) or '0') <= tonumber(start) + queued then
      redis.call('HDEL', turn, last)
    end
    if WEIGHT[lane] then
      local other = lane == 'normal' and 'bulk' or 'normal'
      local from = lane_turn(lane)
      -- A lane that is empty may not save up turns, neither this one before nor the other one now.
      if not waits(other) then
        from = math.max(from, lane_turn(other))
        redis.call('HSET', turn, 'lane:' .. other, string.format('%.3f', from))
      end
      redis.call('HSET', turn, 'lane:' .. lane, string.format('%.3f', from + queued / WEIGHT[lane]))
    end
    result[#result + 1] = s.id
    result[#result + 1] = s.epoch
    result[#result + 1] = redis.call('GET', s.key)
    rows = rows + queued
    if held then held[s.job] = (held[s.job] or 0) + queued end
  end
end
for _, one in ipairs(put_back_as_they_were) do redis.call('ZADD', key('out:' .. one[1]), one[2], one[3]) end
return result
