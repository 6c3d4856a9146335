"""The editions in other languages, made of one source: README, docs, notebooks, words of the code.

`scope` says what is translated; `markdown` cuts a text into messages; `catalogues` keeps a PO file
in step with its source; `links` leads a translated page's links to translated pages; `editions`
puts the pages together; `code` looks after the words of the package; `rules` says what a good
translation must have. May import all other wings; nothing imports it.
"""
