"""Pictures of runs and networks, drawn by matplotlib: pip install 'striate[plot]'."""
