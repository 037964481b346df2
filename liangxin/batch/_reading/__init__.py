"""
What stands behind `liangxin.batch._read`, from the bytes of a file up to its requests.

`places` gives the lines; `json_lines` makes a row of each, `tables` and `cells` make one of each
row of a table.  `reader` makes requests of the rows, with `known_models`, `templates` and `keys`.
"""
