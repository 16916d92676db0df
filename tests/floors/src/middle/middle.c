#include "middle/middle.h"
#include <stdio.h>
#include "high/high.h"
#include "unnamed.h"
#include "distkv/public.h"
