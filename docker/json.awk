# Lays JSON flat, a value a line: Resources.0.userName<TAB>amelie.dubois
#
# For people and for shell scripts, on machines without a JSON tool. Strings lose their quotes and
# their escapes but \u; an empty object or list is a line as well.

{ text = text $0 "\n" }

END {
  at = 1
  value("")
}

function space() { while (substr(text, at, 1) ~ /[ \t\r\n]/) at++ }

function string(   out, c) {
  at++
  out = ""
  while ((c = substr(text, at, 1)) != "\"" && c != "") {
    if (c == "\\") {
      at++
      c = substr(text, at, 1)
      if (c == "n" || c == "t" || c == "r") c = " "
      else if (c == "u") c = "\\u"
    }
    out = out c
    at++
  }
  at++
  return out
}

function value(path,   c, key, n, start) {
  space()
  c = substr(text, at, 1)
  if (c == "\"") { print path "\t" string(); return }
  if (c == "{" || c == "[") {
    at++
    for (n = 0; ; n++) {
      space()
      if (substr(text, at, 1) == ",") { at++; space() }
      if (substr(text, at, 1) ~ /[\]}]/ || at > length(text)) { at++; break }
      key = n
      if (c == "{") { key = string(); space(); at++ }
      value(path == "" ? key : path "." key)
    }
    if (n == 0) print path "\t" (c == "{" ? "{}" : "[]")
    return
  }
  start = at
  while (substr(text, at, 1) !~ /[],} \t\r\n]/ && at <= length(text)) at++
  print path "\t" substr(text, start, at - start)
}
