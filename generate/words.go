package generate

// The words that names and addresses are put together from. Changing one changes
// the law. Some need quotes in CSV or are not ASCII, as a few names of real people
// and things always do. All addresses are under domains that are reserved for
// examples.

var brands = [...]string{
	"Northwind", "Bluebird", "Redwood", "Silverline", "Harbor", "Summit", "Juniper", "Cobalt",
	"Evergreen", "Lantern", "Foxglove", "Granite", "Maple & Oak", "Paper Plane", "Tidewater", "Wildflower",
	"O'Connor", "D'Angelo", "Müller", "Café Lumière", "São Bento", "Åkerlund", "Łódzka", "Sakura 桜",
	"Brightwater", "Copperfield", "Driftwood", "Emberly", "Fairmont", "Goldfinch", "Hawthorne", "Ironbridge",
	"Kestrel", "Lakeside", "Meridian", "Nightingale", "Orchard", "Pinecrest", "Quarry", "Riverbend",
	"Sandpiper", "Thistle", "Umbra", "Vantage", "Westgate", "Yellowstone", "Zephyr", "Halcyon",
}

var trades = [...]string{
	"Outdoor", "Coffee", "Media", "Books", "Bikes", "Foods", "Travel", "Labs",
	"Music", "Optics", "Garden", "Fitness", "Software", "Toys", "Shoes", "Energy",
	"Kitchens", "Insurance", "Games", "Textiles", "Furniture", "Robotics", "Pets", "Wines",
}

var legalForms = [...]string{
	"", "", "", " Group", " LLC", " Ltd", " GmbH", " Co.",
	" & Sons", " Partners", " International", " S.A.", " Collective", " Direct", ", Inc.", ` "Original"`,
}

var occasions = [...]string{
	"Spring Sale", "Summer Launch", "Back to School", "Black Friday", "Holiday Countdown", "New Year", "Clearance", "Grand Opening",
	"Loyalty Week", "Newsletter", "Brand Awareness", "Retargeting", "Weekend Flash Sale", "Early Bird", "Été à Paris", "Oktoberfest",
	"Mother's Day", "Father's Day", "Valentine's", "Winter Warmers", "Road Trip", "Rainy Day", "First Order", "Win-back",
}

var audiences = [...]string{
	"", "", "", " - Mobile", " - Desktop", " - North America", " - Europe", " - Asia Pacific",
	" - Students", " - Families", " - Lookalikes", " - Test B", ", Round 2", `: "Last Chance"`, " (São Paulo)", ", Phase 3",
}

var costModels = [...]string{
	"cost_per_click", "cost_per_click", "cost_per_click", "cost_per_impression", "cost_per_impression", "cost_per_view",
}

// running is the index of a state.
const running = 0

var states = [...]string{
	"running", "running", "running", "running", "running", "running", "paused", "paused", "archived", "draft",
}

var adjectives = [...]string{
	"Classic", "Handmade", "Lightweight", "Waterproof", "Organic", "Vintage", "Compact", "Premium",
	"Everyday", "Limited", "Recycled", "Foldable", "Wireless", "Soft", "Bold", "Smart",
	"Traveler's", "Kid's", "Crème", "Deluxe", "Slim", "Rugged", "Modern", "Cosy",
}

// A product is a thing to advertise, and its name in addresses.
type product struct{ name, slug string }

var products = [...]product{
	{"Hiking Boots", "hiking-boots"},
	{"Coffee Beans", "coffee-beans"},
	{"Desk Lamp", "desk-lamp"},
	{"Rain Jacket", "rain-jacket"},
	{"Headphones", "headphones"},
	{"City Bike", "city-bike"},
	{"Notebook", "notebook"},
	{"Sunglasses", "sunglasses"},
	{"Backpack", "backpack"},
	{"Tea Sampler", "tea-sampler"},
	{"Yoga Mat", "yoga-mat"},
	{"Office Chair", "office-chair"},
	{"Camping Stove", "camping-stove"},
	{"Running Shoes", "running-shoes"},
	{"Bluetooth Speaker", "bluetooth-speaker"},
	{"Wool Blanket", "wool-blanket"},
	{"Phone Case", "phone-case"},
	{"Water Bottle", "water-bottle"},
	{"Board Game", "board-game"},
	{"Plant Pot", "plant-pot"},
	{"Fountain Pen", "fountain-pen"},
	{"Wall Clock", "wall-clock"},
	{"Bread Knife", "bread-knife"},
	{"Winter Gloves", "winter-gloves"},
	{"Jalapeño Sauce", "jalapeno-sauce"},
	{"Dog Leash", "dog-leash"},
	{"Film Camera", "film-camera"},
	{"Travel Pillow", "travel-pillow"},
	{"Garden Hose", "garden-hose"},
	{"Picture Frame", "picture-frame"},
	{"Tool Set", "tool-set"},
	{"Espresso Cup", "espresso-cup"},
}

// offers end the names of some ads.
var offers = [...]string{
	" for Less", " - 20% Off", " - Free Shipping", " Bundle", ", Set of 2", ", Two for One", ` "As Seen on TV"`, ` 13" Edition`,
	" (New!)", " & Gift Box", " Refill", " - Today Only", " XL", " - Last Pieces", " II", " à la carte",
}

// sites are pages where an advertiser does not want to be seen. Their number has no
// odd divisor, so any odd stride meets each of them once.
var sites = [...]string{
	"http://gossip.example.org", "http://tabloid.example.com", "https://rumors.example.net", "http://clickbait.example.org/top10",
	"http://freestuff.example.com", "https://casino.example.net", "http://poker.example.org/lobby", "http://pranks.example.com",
	"http://conspiracy.example.org", "https://forum.example.net/offtopic", "http://spam.example.com", "http://mirror.example.net/a,b",
	"https://downloads.example.org/cracked", "http://torrents.example.com", "http://scandal.example.net", "https://quiz.example.org/which-pet",
	"http://celebrity.example.com", "http://horoscope.example.net", "https://lottery.example.org", "http://getrich.example.com/now",
	"http://news.example.net/opinion?page=2", "https://comments.example.org", "http://parked.example.com", "http://popups.example.net",
	"http://adult.example.org", "https://dating.example.com", "http://violence.example.net", "http://weapons.example.org",
	"https://politics.example.com/debate", "http://fake.example.net", "http://leaks.example.org", "http://outrage.example.com/{today}",
}
