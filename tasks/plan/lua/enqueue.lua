-- Included where slices come into an account: give a slice its place in the outbox of its lane.

local starts = {} -- by field of `turn`, where the next slice of a lane or a job starts
local changed = {} -- fields of jobs among them that are to be written

-- Read where the next slices of these start.
local function read_starts(slices)
  local fields = {}
  for _, s in ipairs(slices) do
    for _, field in ipairs({ 'at:' .. s.lane, not s.page and 'job:' .. s.lane .. ':' .. s.job or nil }) do
      if not starts[field] then
        fields[#fields + 1] = field
        starts[field] = 0
      end
    end
  end
  if #fields == 0 then return end
  for n, place in ipairs(redis.call('HMGET', key('turn'), unpack(fields))) do
    starts[fields[n]] = tonumber(place or '0')
  end
end

-- Start-time fair queueing: a job's next slice starts where its last one ended, but never in the past. One in a page is its
-- job's only one.
local function next_start(s, queued)
  if s.page then return starts['at:' .. s.lane] end
  local last = 'job:' .. s.lane .. ':' .. s.job
  local start = math.max(starts['at:' .. s.lane], starts[last])
  starts[last] = start + queued
  changed[last] = true
  return start
end

local function write_starts()
  local fields = {}
  for last in pairs(changed) do
    fields[#fields + 1] = last
    fields[#fields + 1] = string.format('%.3f', starts[last])
  end
  changed = {}
  if #fields > 0 then redis.call('HSET', key('turn'), unpack(fields)) end
end
