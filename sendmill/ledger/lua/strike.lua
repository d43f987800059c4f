#!lua flags=allow-oom
-- Delete entries of a stream that speak of a person. Groups that had not read them lose nothing by it.
-- KEYS[1] the account's state hash
-- ARGV[1] the stream's name without the account's prefix, ARGV[2..] ids
-- groups hash, at:<group>: entries that were given or counted as lost, see events.lua
-- Returns how many there were.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local stream = prefix .. ARGV[1]
local struck = 0

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function is_after(one, other)
  local one_ms, one_seq = parts(one)
  local other_ms, other_seq = parts(other)
  return one_ms > other_ms or (one_ms == other_ms and one_seq > other_seq)
end

for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('XDEL', stream, id) == 1 then
    struck = struck + 1
    for _, told in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
      local group = {}
      for n = 1, #told, 2 do group[told[n]] = told[n + 1] end
      if is_after(id, group['last-delivered-id']) then
        redis.call('HINCRBY', prefix .. 'groups', 'at:' .. group['name'], 1)
      else
        redis.call('XACK', stream, group['name'], id)
      end
    end
  end
end
return struck
