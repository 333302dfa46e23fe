"""Label maps in other forms than one volume: named segments, one mask a structure, contours."""
