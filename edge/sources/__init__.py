"""Where reads come from: files, folders, cameras, serial scanners."""
