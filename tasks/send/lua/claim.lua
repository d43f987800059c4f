#!lua flags=allow-oom
-- include rows.lua
-- Lease slices from the outbox: otp strictly first, then normal and bulk at 4 : 1.
-- KEYS[1] the account's state hash
-- ARGV[1] rows wanted, ARGV[2] the most slices, ARGV[3] ms of the lease, ARGV[4] msgpack {job: rows of it that the caller
-- holds}, or empty where that does not matter, ARGV[5] "1" for slices of jobs alone of which the caller holds none,
-- ARGV[6] process that takes, or keeps, its seat at the account, ARGV[7] ms of the seat, ARGV[8..] lanes that may be claimed
-- Slices that a newer version wrote stay where they are; where the account is paused or suspended all do.
-- Returns {id, epoch, blob, id, epoch, blob, …}: at least one slice where there is any, no more than ARGV[2] or than
-- rows wanted need.

local now = clock_ms()
-- Nothing goes out of an account that stands still: its slices stay where they are, however many are woken for it.
local state = redis.call('HGET', key('state'), 'state')
if state and state ~= 'active' then return {} end
local wanted, most, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local allowed = {}
for i = 8, #ARGV do allowed[ARGV[i]] = true end
local rows_by_job = ARGV[4] ~= '' and cmsgpack.unpack(ARGV[4]) or nil
local others_only = ARGV[5] == '1'
redis.call('ZADD', key('seats'), now + ARGV[7], ARGV[6])
local WEIGHT = { normal = 4, bulk = 1 }
local FOREIGN_AT_ONCE = 100
local LOOKED_AT = 16
local PAGE = 64
local turn = key('turn')

-- What is looked at of a lane is read once; what is changed is written in the end.
local size, at, turns, left = {}, {}, {}, {}
local result, leases, rows = {}, {}, 0

local function waits(lane)
  if not allowed[lane] then return false end
  if not size[lane] then size[lane] = redis.call('ZCARD', key('out:' .. lane)) end
  return size[lane] > 0
end

local function lane_turn(lane)
  if not turns[lane] then turns[lane] = tonumber(redis.call('HGET', turn, 'lane:' .. lane) or '0') end
  return turns[lane]
end

local function next_lane()
  if waits('otp') then return 'otp' end
  local normal, bulk = waits('normal'), waits('bulk')
  if normal and bulk then return lane_turn('normal') <= lane_turn('bulk') and 'normal' or 'bulk' end
  return normal and 'normal' or bulk and 'bulk' or nil
end

-- The slice that is next in a lane, and its start. What is passed here leaves the outbox with `leave`, but for foreign
-- slices, which stay where they are.
local pages = {}
local function leave(lane)
  if left[lane] and #left[lane] > 0 then redis.call('ZREM', key('out:' .. lane), unpack(left[lane])) end
  left[lane] = {}
end

local function next_of(lane)
  local page = pages[lane]
  if not page or page.at > #page.found then
    leave(lane)
    local from = page and page.kept or 0
    page = { found = redis.call('ZRANGE', key('out:' .. lane), from, from + PAGE - 1, 'WITHSCORES'), at = 1, kept = from }
    pages[lane] = page
    local ids = {}
    for i = 1, math.min(#page.found, 2 * math.min(most, wanted - rows)), 2 do ids[#ids + 1] = page.found[i] end
    read_pages(ids)
  end
  local id, start = page.found[page.at], page.found[page.at + 1]
  page.at = page.at + 2
  return id, start
end

-- Where the caller says what it holds, a slice of a job of which it holds less goes before, if it starts before the first
-- one would end: so that each of several processes has calls of all jobs, and can give each of them its turns. nil where
-- no slice will do.
local function fairest_of(lane)
  local out = key('out:' .. lane)
  local waiting = redis.call('ZRANGE', out, 0, LOOKED_AT - 1, 'WITHSCORES')
  local id, start = waiting[1], waiting[2]
  local least = rows_by_job[job_of(id)] or 0
  local s = slice_of(id)
  local ends = tonumber(start) + (s and count_of(s, 'q') or 0)
  for n = 3, #waiting, 2 do
    local holds = rows_by_job[job_of(waiting[n])] or 0
    if holds < least and tonumber(waiting[n + 1]) < ends then
      id, start, least = waiting[n], waiting[n + 1], holds
    end
  end
  if others_only and least > 0 then return nil end
  redis.call('ZREM', out, id)
  return id, start
end

local put_back_as_they_were, foreigners = {}, 0
local lasts, ends = {}, {} -- fields of `turn` of jobs, and where what was claimed of each ends
while rows < wanted and #result < 3 * most and foreigners < FOREIGN_AT_ONCE do
  local lane = next_lane()
  if not lane then break end
  local id, start
  if rows_by_job then id, start = fairest_of(lane) else id, start = next_of(lane) end
  if not id then break end
  size[lane] = size[lane] - 1
  local raw = read_before[id] or read_slice(id, -1)
  local s = slice_of(id, raw)
  if foreign[id] then
    foreigners = foreigners + 1
    if rows_by_job then
      put_back_as_they_were[#put_back_as_they_were + 1] = { lane, start, id }
    else
      pages[lane].kept = pages[lane].kept + 1
    end
  else
    if not rows_by_job then left[lane][#left[lane] + 1] = id end
    local queued = s and count_of(s, 'q') or 0
    if queued > 0 then
      set_field(s, 'epoch', s.epoch + 1)
      leases[#leases + 1] = now + lease_ms
      leases[#leases + 1] = s.id
      at[lane] = math.max(at[lane] or tonumber(redis.call('HGET', turn, 'at:' .. lane) or '0'), tonumber(start))
      if not s.page then
        local last = 'job:' .. lane .. ':' .. s.job
        if not ends[last] then lasts[#lasts + 1] = last end
        ends[last] = math.max(ends[last] or 0, tonumber(start) + queued)
      end
      if WEIGHT[lane] then
        local other = lane == 'normal' and 'bulk' or 'normal'
        local from = lane_turn(lane)
        -- A lane that is empty may not save up turns, neither this one before nor the other one now.
        if not waits(other) then
          from = math.max(from, lane_turn(other))
          turns[other] = from
        end
        turns[lane] = from + queued / WEIGHT[lane]
      end
      result[#result + 1] = s.id
      result[#result + 1] = s.epoch
      result[#result + 1] = s.page and s.raw or over(raw, 8, struct.pack('<I4', s.epoch))
      rows = rows + queued
      if rows_by_job then rows_by_job[s.job] = (rows_by_job[s.job] or 0) + queued end
    end
  end
end
for lane in pairs(left) do leave(lane) end
for _, one in ipairs(put_back_as_they_were) do redis.call('ZADD', key('out:' .. one[1]), one[2], one[3]) end
write_pages()
if #leases > 0 then
  in_parts(leases, function(_, ...) redis.call('ZADD', key('inflight'), ...) end)
  local fields = {}
  for lane, place in pairs(at) do
    fields[#fields + 1] = 'at:' .. lane
    fields[#fields + 1] = place
  end
  for lane, place in pairs(turns) do
    fields[#fields + 1] = 'lane:' .. lane
    fields[#fields + 1] = string.format('%.3f', place)
  end
  redis.call('HSET', turn, unpack(fields))
  -- Where a job's last slice ends no later than what was claimed, nothing of it waits: its place need not be kept.
  local over_now = {}
  in_parts(lasts, function(from, ...)
    for n, place in ipairs(redis.call('HMGET', turn, ...)) do
      local last = lasts[from + n - 1]
      if place and tonumber(place) <= ends[last] then over_now[#over_now + 1] = last end
    end
  end)
  in_parts(over_now, function(_, ...) redis.call('HDEL', turn, ...) end)
end
return result
