"""What a section is made of: tables, charts, graphs, numbers, and the page around them."""
