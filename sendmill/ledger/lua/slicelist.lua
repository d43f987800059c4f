-- The slices of several jobs, a few thousand at a time; those to which rows were moved are told with a job's last ones.
-- KEYS[1] <namespace>:{jobs}:due, from which every other name is made
-- ARGV[1] slices of the first job to leave out, ARGV[2..] jobs
-- Returns {jobs that were told to their end, slices told of the next one, msgpack [account, slice id, rows], …}

local MOST = 2000
local prefix = string.sub(KEYS[1], 1, -4)
local from = tonumber(ARGV[1])
local result = { 0, 0 }
for i = 2, #ARGV do
  local room = math.max(0, MOST + 2 - #result)
  local slices = redis.call('LRANGE', prefix .. 'slices:' .. ARGV[i], from, from + room - 1)
  if #slices == 0 and from == 0 and room > 0 then
    local only = redis.call('HGET', prefix .. 'job:' .. ARGV[i], 'slice')
    only = only and cmsgpack.unpack(only)
    if only then slices[1] = cmsgpack.pack({ only[1], ARGV[i] .. '.0.' .. (only[3] or '0'), only[2] }) end
  end
  for _, slice in ipairs(slices) do result[#result + 1] = slice end
  if #slices == room then
    result[2] = from + room
    return result
  end
  for _, slice in ipairs(redis.call('HVALS', prefix .. 'moved:' .. ARGV[i])) do result[#result + 1] = slice end
  from = 0
  result[1] = i - 1
end
return result
