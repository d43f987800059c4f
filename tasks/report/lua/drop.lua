#!lua flags=allow-oom
-- Delete entries of the inbox that have been folded.
-- KEYS[1] the account's state hash
-- ARGV id, bytes, id, bytes, …
-- Returns how many there were.

local prefix = string.sub(KEYS[1], 1, -6) -- KEYS[1] ends in "state"
local inbox, held = prefix .. 'inbox', prefix .. 'inbox_bytes'
local dropped, bytes = 0, 0
for i = 1, #ARGV, 2 do
  if redis.call('XDEL', inbox, ARGV[i]) == 1 then
    dropped, bytes = dropped + 1, bytes + tonumber(ARGV[i + 1])
  end
end
-- An empty inbox holds no bytes, whatever was reckoned.
if redis.call('XLEN', inbox) == 0 then
  redis.call('DEL', held)
else
  redis.call('DECRBY', held, bytes)
end
return dropped
