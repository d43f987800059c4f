#!lua flags=allow-oom
-- Give a group what it has not seen of an account's events, and count what was trimmed before it saw it.
-- KEYS[1] the account's state hash
-- ARGV[1] group, ARGV[2] the most new entries, ARGV[3] ms after which an entry that was not acknowledged comes again,
-- ARGV[4] the most entries that come again (0: none are looked for)
-- events stream: see rows.lua. groups hash: at:<group> entries of the stream, from its first ever, that were given or
-- counted as lost; lost:<group> entries lost and not acknowledged yet; told:<group> ms when that was last said
-- Returns {lost, id up to which everything has been given or "", entries that come again, new entries}.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local stream, groups = prefix .. 'events', prefix .. 'groups'
local group, again_ms = ARGV[1], tonumber(ARGV[3])
local CONSUMER = 'all' -- one name for all processes: an entry's idle time alone decides when it comes again

local function figures()
  local told = redis.call('XINFO', 'STREAM', stream)
  local by_name = {}
  for i = 1, #told, 2 do by_name[told[i]] = told[i + 1] end
  return by_name['entries-added'] - by_name['length'], by_name['last-generated-id']
end

local function read_new()
  return redis.pcall('XREADGROUP', 'GROUP', group, CONSUMER, 'COUNT', ARGV[2], 'STREAMS', stream, '>')
end

local answer = read_new()
local trimmed, last
if answer and answer.err then
  if not string.find(answer.err, 'NOGROUP', 1, true) then return answer end
  -- The group is new: what was trimmed before is not its loss.
  redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
  trimmed, last = figures()
  redis.call('HSET', groups, 'at:' .. group, trimmed)
  redis.call('HDEL', groups, 'lost:' .. group, 'told:' .. group)
  answer = read_new()
else
  trimmed, last = figures()
end
local new = answer and answer[1] and answer[1][2] or {}

local at = tonumber(redis.call('HGET', groups, 'at:' .. group) or '0')
local lost = math.max(0, trimmed - at)
if lost > 0 or #new > 0 then redis.call('HSET', groups, 'at:' .. group, at + lost + #new) end

local again = {}
if tonumber(ARGV[4]) > 0 then
  local claimed = redis.call('XAUTOCLAIM', stream, group, CONSUMER, again_ms, '0-0', 'COUNT', ARGV[4])
  again = claimed[2]
  -- Given once, never acknowledged, and trimmed since.
  if claimed[3] then lost = lost + #claimed[3] end
end

if lost > 0 then redis.call('HINCRBY', groups, 'lost:' .. group, lost) end
local told = redis.call('HMGET', groups, 'lost:' .. group, 'told:' .. group)
local due = 0
if tonumber(told[1] or '0') > 0 then
  local t = redis.call('TIME')
  local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
  if now - tonumber(told[2] or '0') >= again_ms then
    due = tonumber(told[1])
    redis.call('HSET', groups, 'told:' .. group, now)
  end
end
return { due, #new < tonumber(ARGV[2]) and last or '', again, new }
